package consensus

import (
	"fmt"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/rs/zerolog"
)

// newRaftLogger passes raft's log on one level down: raft reports each lost heartbeat of a member
// that is down as an error, and an operator learns what matters (leadership, a dead disk) from this
// package. raft's info and debug are debug here, its warnings info, its errors warnings.
func newRaftLogger(l zerolog.Logger) hclog.Logger {
	out := hclog.NewInterceptLogger(&hclog.LoggerOptions{
		Name: "raft", Output: io.Discard, Level: hclog.Off,
	})
	out.RegisterSink(&logSink{l}) // a map key there: a pointer
	return out
}

type logSink struct{ log zerolog.Logger }

var _ hclog.SinkAdapter = (*logSink)(nil)

// Accept writes one line; args are alternating keys and values.
func (s *logSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	e := s.log.WithLevel(levelOf(level))
	if s.log.GetLevel() > levelOf(level) || zerolog.GlobalLevel() > levelOf(level) {
		e = nil // WithLevel does not filter; a nil event swallows everything
	}
	for i := 0; i+1 < len(args); i += 2 {
		key, ok := args[i].(string)
		if !ok {
			key = fmt.Sprint(args[i])
		}
		switch v := args[i+1].(type) {
		case error:
			e = e.AnErr(key, v)
		case hclog.Format:
			e = e.Str(key, fmt.Sprintf(fmt.Sprint(v[0]), v[1:]...))
		default:
			e = e.Str(key, fmt.Sprint(v))
		}
	}
	e.Str("part", name).Msg(msg)
}

func levelOf(l hclog.Level) zerolog.Level {
	switch l {
	case hclog.Trace:
		return zerolog.TraceLevel
	case hclog.Warn:
		return zerolog.InfoLevel
	case hclog.Error:
		return zerolog.WarnLevel
	default:
		return zerolog.DebugLevel
	}
}
