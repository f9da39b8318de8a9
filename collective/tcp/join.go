package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/shm"
)

const (
	handshakeTimeout = 10 * time.Second // for a caller to say who it is
	acceptPause      = 50 * time.Millisecond
	dialPauseMin     = 10 * time.Millisecond
	dialPauseMax     = time.Second
	minHandshakes    = 64
)

// ErrRefused is in the chain of the error of Join when a peer answered that this rank does not
// belong to its group: it is of another run or generation, or comes twice. Retrying is useless.
var ErrRefused = errors.New("refused by peer")

// mesh collects the connections of one Join. Accept handlers and dialers add to it.
type mesh struct {
	cfg  Config
	self hello

	mu      sync.Mutex
	conns   []net.Conn // by rank
	missing int
	closed  bool    // no more connections are taken
	tried   []error // by rank: what the last attempt to dial it met
	full    chan struct{}
}

// Join connects to all ranks of the generation and returns when every connection of this rank is
// up. Each pair has one connection; the higher rank dials the lower, again and again until it
// answers, since ranks start at different times. Callers that do not belong here are told why,
// logged, and otherwise ignored.
//
// It fails when ctx ends (DefaultJoinTimeout if ctx has no deadline), naming the ranks that are
// missing, and with ErrRefused when a peer refuses this rank. The Listener belongs to the Group
// from then on; after an error it is closed.
func (l *Listener) Join(ctx context.Context, cfg Config) (*Group, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := l.claim(); err != nil {
		return nil, fmt.Errorf("join generation %d: %w", cfg.Generation, err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultJoinTimeout)
		defer cancel()
	}
	cfg.Logger = cfg.Logger.With().Str("run", cfg.Run).Uint64("generation", cfg.Generation).
		Int("rank", int(cfg.Rank)).Logger()
	world := len(cfg.Peers)
	m := &mesh{
		cfg: cfg, conns: make([]net.Conn, world), tried: make([]error, world),
		missing: world - 1, full: make(chan struct{}),
		self: hello{run: cfg.Run, generation: cfg.Generation, rank: cfg.Rank, world: world},
	}
	if world == 1 {
		close(m.full)
	}
	if err := m.gather(ctx, l); err != nil {
		m.abandon()
		_ = l.Close()
		return nil, fmt.Errorf("join generation %d of run %s as rank %d of %d: %w",
			cfg.Generation, cfg.Run, cfg.Rank, world, err)
	}
	return newGroup(m, l), nil
}

// gather runs the accept loop and the dialers until the mesh is full.
func (m *mesh) gather(ctx context.Context, l *Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var dialers sync.WaitGroup
	defer dialers.Wait()
	defer cancel()
	l.serve(max(minHandshakes, 2*len(m.conns)), func(c net.Conn) { m.answer(c, l.stop) })
	refused := make(chan error, m.cfg.Rank)
	for to := range m.cfg.Rank {
		dialers.Go(func() {
			if err := m.dial(ctx, to); err != nil {
				refused <- err
			}
		})
	}
	select {
	case <-m.full:
		return nil
	case err := <-refused:
		return err
	case <-l.stop:
		return errors.New("the listener was closed")
	case <-ctx.Done():
		return fmt.Errorf("%w: %s", ctx.Err(), m.missingRanks())
	}
}

// answer handshakes one accepted connection, of a socket or of its twin.
func (m *mesh) answer(conn net.Conn, stop <-chan struct{}) {
	log := m.cfg.Logger.With().Stringer("from", conn.RemoteAddr()).Logger()
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	done := make(chan struct{})
	defer close(done)
	go func() { // the end of the listener ends the handshake
		select {
		case <-stop:
			_ = conn.SetDeadline(time.Unix(1, 0))
		case <-done:
		}
	}()
	if _, twin := conn.(*net.UnixConn); twin {
		shared, err := shm.Accept(conn)
		if err != nil {
			log.Warn().Err(err).Msg("refused a connection")
			_ = conn.Close()
			return
		}
		m.welcome(shared, log)
		return
	}
	m.welcome(conn, log)
}

// welcome reads who calls and answers whether it belongs here.
func (m *mesh) welcome(conn net.Conn, log zerolog.Logger) {
	msg, err := readMessage(conn)
	if err == nil && msg.kind != kindHello {
		err = fmt.Errorf("%w: message kind %d where a hello belongs", errForeign, msg.kind)
	}
	if err != nil {
		log.Warn().Err(err).Msg("refused a connection")
		if !errors.Is(err, errForeign) {
			refuse(conn, err.Error()) // a banyan of another version can read this
		}
		_ = conn.Close()
		return
	}
	reason := mismatch(m.self, msg.hello)
	if reason == "" && msg.hello.rank <= m.self.rank {
		reason = fmt.Sprintf("rank %d must not dial rank %d", msg.hello.rank, m.self.rank)
	}
	if reason == "" {
		reason = m.add(msg.hello.rank, conn, func() error {
			self := m.self
			self.target = msg.hello.rank
			_, err := conn.Write((&message{kind: kindWelcome, hello: self}).encode())
			return err
		})
	}
	if reason != "" {
		log.Warn().Str("reason", reason).Int("peer", int(msg.hello.rank)).
			Msg("refused a connection")
		refuse(conn, reason)
		_ = conn.Close()
	}
}

func refuse(conn net.Conn, reason string) {
	_, _ = conn.Write((&message{kind: kindRefusal, reason: reason}).encode())
}

// add takes conn as the connection of rank after welcome has succeeded. It answers "" or the
// reason why not.
func (m *mesh) add(rank collective.Rank, conn net.Conn, welcome func() error) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conns[rank] != nil {
		return fmt.Sprintf("rank %d of this generation is already connected", rank)
	}
	if m.closed {
		return fmt.Sprintf("generation %d is not taking ranks any more", m.self.generation)
	}
	// 60 bytes into an empty socket buffer: this does not block, so the lock may be held.
	if err := welcome(); err != nil {
		return "welcome it: " + err.Error()
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return "clear its deadline: " + err.Error()
	}
	m.conns[rank] = conn
	if m.missing--; m.missing == 0 {
		close(m.full)
	}
	return ""
}

// dial connects to rank to, trying until ctx ends. It returns an error only if retrying is useless.
func (m *mesh) dial(ctx context.Context, to collective.Rank) error {
	for pause := dialPauseMin; ; pause = min(2*pause, dialPauseMax) {
		err := m.dialOnce(ctx, to)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrRefused) {
			m.cfg.Logger.Error().Err(err).Int("peer", int(to)).Msg("refused by a peer")
			return err
		}
		m.mu.Lock()
		m.tried[to] = err
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// dialOnce makes one attempt: through memory if the peer is on this host, and else by TCP.
func (m *mesh) dialOnce(ctx context.Context, to collective.Rank) error {
	addr := m.cfg.Peers[to]
	if !m.cfg.OnlySockets {
		if conn, err := shm.Dial(ctx, addr); err == nil {
			err = m.greet(ctx, to, conn)
			if err == nil || errors.Is(err, ErrRefused) || ctx.Err() != nil {
				return err
			}
			m.cfg.Logger.Warn().Err(err).Msg("no connection through memory, trying TCP")
		}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("dial rank %d: %w", to, err)
	}
	return m.greet(ctx, to, conn)
}

// greet says who this rank is and takes conn into the mesh if the peer agrees. The peer may answer
// late: it accepts only once it joins, so the wait for its answer ends with ctx, not before.
func (m *mesh) greet(ctx context.Context, to collective.Rank, conn net.Conn) (err error) {
	addr := m.cfg.Peers[to]
	unhook := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer unhook()
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	mine := m.self
	mine.target = to
	if _, err := conn.Write((&message{kind: kindHello, hello: mine}).encode()); err != nil {
		return fmt.Errorf("greet rank %d at %s: %w", to, addr, err)
	}
	msg, err := readMessage(conn)
	if err != nil {
		return fmt.Errorf("greet rank %d at %s: %w", to, addr, err)
	}
	if msg.kind == kindRefusal {
		return fmt.Errorf("greet rank %d at %s: %w: %s", to, addr, ErrRefused, msg.reason)
	}
	reason := mismatch(m.self, msg.hello)
	if reason == "" && (msg.kind != kindWelcome || msg.hello.rank != to) {
		reason = fmt.Sprintf("rank %d answered with message kind %d", msg.hello.rank, msg.kind)
	}
	if reason == "" {
		if !unhook() {
			return ctx.Err()
		}
		reason = m.add(to, conn, func() error { return nil })
	}
	if reason != "" {
		return fmt.Errorf("greet rank %d at %s: %w: %s", to, addr, ErrRefused, reason)
	}
	return nil
}

// missingRanks lists the ranks that are not connected, with what dialing them met.
func (m *mesh) missingRanks() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for r, conn := range m.conns {
		switch {
		case conn != nil || r == int(m.self.rank):
		case m.tried[r] != nil:
			out = append(out, fmt.Sprintf("rank %d (%v)", r, m.tried[r]))
		case r < int(m.self.rank):
			out = append(out, fmt.Sprintf("rank %d at %s (no answer yet)", r, m.cfg.Peers[r]))
		default:
			out = append(out, fmt.Sprintf("rank %d (it has not dialed)", r))
		}
	}
	return "missing " + strings.Join(out, ", ")
}

// abandon closes what a failed Join has gathered.
func (m *mesh) abandon() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, conn := range m.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}
