package telemetry

import (
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// serverLog passes the server's log on, one level down: its notices are of no interest to an
// operator of runs, and it reports every failed dial of a member that is down as an error. Fatal
// does not end the process; the first one is kept for Start.
type serverLog struct {
	log    zerolog.Logger
	secret string // never written (I12)

	mu    sync.Mutex
	fatal string
}

var _ server.Logger = (*serverLog)(nil)

func (l *serverLog) write(level zerolog.Level, format string, v []any) {
	l.log.WithLevel(level).Str("part", "nats").Msg(l.text(format, v))
}

func (l *serverLog) text(format string, v []any) string {
	s := fmt.Sprintf(format, v...)
	if l.secret != "" {
		s = strings.ReplaceAll(s, l.secret, "[secret]")
	}
	return s
}

// Noticef logs what the server says about itself.
func (l *serverLog) Noticef(format string, v ...any) { l.write(zerolog.DebugLevel, format, v) }

// Warnf logs a warning.
func (l *serverLog) Warnf(format string, v ...any) { l.write(zerolog.InfoLevel, format, v) }

// Errorf logs an error.
func (l *serverLog) Errorf(format string, v ...any) { l.write(zerolog.WarnLevel, format, v) }

// Fatalf logs what keeps the server from running, and keeps the first.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.write(zerolog.ErrorLevel, format, v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = l.text(format, v)
	}
}

// Debugf drops the server's debug output.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef drops the server's protocol trace.
func (l *serverLog) Tracef(string, ...any) {}

// fatalText returns what the server could not do, or "".
func (l *serverLog) fatalText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
