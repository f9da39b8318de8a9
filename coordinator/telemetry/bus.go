package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

const (
	streamName = "BANYAN"
	// startPatience bounds the wait for the server's own listeners, on a busy machine with much to
	// recover.
	startPatience = 30 * time.Second
	startPoll     = 100 * time.Millisecond
	apiTimeout    = 5 * time.Second
	// firstTry is short because a request sent while there is no leader is never answered; each
	// further try waits twice as long, up to apiTimeout, for the sake of a slow disk.
	firstTry = 500 * time.Millisecond
)

// Bus is one member's server and its own connection to it. Safe for concurrent use.
type Bus struct {
	cfg Config
	log zerolog.Logger
	srv *server.Server
	nc  *nats.Conn
	js  jetstream.JetStream

	hints hints

	ready    chan struct{} // closed once the stream has been there
	missing  chan struct{} // a hint that the stream is gone
	done     chan struct{} // closed by Close
	stop     context.CancelFunc
	keeping  sync.WaitGroup
	closeOne sync.Once
}

// Start runs the server and, in the background, sees to it that the stream exists. It returns when
// this member listens; with others still absent the stream may have to wait: see Ready.
func Start(cfg Config) (*Bus, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	log := cfg.Logger.With().Str("part", "telemetry").Str("member", cfg.Name).Logger()
	srv, err := startServer(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	b := &Bus{
		cfg: cfg, log: log, srv: srv, ready: make(chan struct{}),
		missing: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if err := b.connect(); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.keeping.Add(1)
	go b.keepStream(ctx)
	return b, nil
}

func startServer(cfg Config, log zerolog.Logger) (*server.Server, error) {
	srv, err := server.NewServer(cfg.options())
	if err != nil {
		return nil, fmt.Errorf("make server: %w", err)
	}
	slog := &serverLog{log: log, secret: cfg.Password}
	srv.SetLoggerV2(slog, false, false, false)
	go srv.Start() // returns when a listener fails, too
	ok, end := false, time.Now().Add(startPatience)
	for !ok && slog.fatalText() == "" && time.Now().Before(end) {
		ok = srv.ReadyForConnections(startPoll)
	}
	if text := slog.fatalText(); text != "" || !ok || !srv.JetStreamEnabled() {
		srv.Shutdown()
		srv.WaitForShutdown()
		if text == "" {
			text = fmt.Sprintf("not ready after %v", startPatience)
		}
		return nil, fmt.Errorf("run server with files in %s, clients at %s, members at %q: %s",
			cfg.Dir, cfg.Listen, cfg.ClusterListen, text)
	}
	return srv, nil
}

func (b *Bus) connect() error {
	opts := []nats.Option{
		nats.InProcessServer(b.srv), nats.Name("coordinator"), nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond), nats.Timeout(apiTimeout),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.log.Debug().Err(err).Msg("connection")
		}),
	}
	if b.cfg.Password != "" {
		opts = append(opts, nats.UserInfo(b.cfg.User, b.cfg.Password))
	}
	nc, err := nats.Connect("", opts...)
	if err != nil {
		return fmt.Errorf("connect to own server: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		nc.Close()
		return fmt.Errorf("use JetStream: %w", err)
	}
	b.nc, b.js = nc, js
	b.hints = hints{nc: nc, runs: map[string]*hinted{}}
	return nil
}

// ClientURL is where other processes on this host connect, with the Config's user and password.
func (b *Bus) ClientURL() string { return b.srv.ClientURL() }

// Ready waits until the stream exists and this member has reached it.
func (b *Bus) Ready(ctx context.Context) error {
	select {
	case <-b.ready:
		return nil
	case <-b.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for stream %s: %w: %w", streamName, ErrUnavailable, ctx.Err())
	}
}

// Close ends everything that this member does: Read and Follow return ErrClosed, files are closed.
func (b *Bus) Close() {
	b.closeOne.Do(func() {
		close(b.done)
		b.stop()
		b.keeping.Wait()
		b.nc.Close()
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
	})
}

// keepStream creates the stream, or updates it to this Config, as often as it takes: the members'
// own leader may need seconds, and the other members may not be there yet. Later it repeats that
// when somebody misses the stream.
func (b *Bus) keepStream(ctx context.Context) {
	defer b.keeping.Done()
	last, try := "", firstTry
	for {
		err := b.putStream(ctx, try)
		try = min(2*try, apiTimeout)
		switch {
		case err == nil:
			last, try = "", firstTry
			select {
			case <-b.ready:
			default:
				close(b.ready)
			}
			select {
			case <-b.missing:
			case <-ctx.Done():
				return
			}
		case err.Error() != last: // a reason is logged when it changes
			last = err.Error()
			b.log.Debug().Err(err).Msg("stream not there yet")
		}
		if !pause(ctx, 200*time.Millisecond) {
			return
		}
	}
}

func (b *Bus) putStream(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: streamName, Subjects: []string{subject("*")},
		Description: "step records and events of all runs", Storage: jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxBytes: b.cfg.MaxBytes, Duplicates: b.cfg.DedupWindow, Replicas: b.cfg.Replicas,
		Compression: jetstream.S2Compression, AllowDirect: true,
	})
	return err
}

// miss asks keepStream to look again.
func (b *Bus) miss(err error) {
	if !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, nats.ErrNoResponders) &&
		!errors.Is(err, jetstream.ErrNoStreamResponse) {
		return
	}
	select {
	case b.missing <- struct{}{}:
	default:
	}
}

// pause waits for d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
