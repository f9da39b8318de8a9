package leader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// KeepaliveTime is how often an idle connection is probed. The server's enforcement policy
// (KeepaliveMinTime) must allow it.
const (
	KeepaliveTime    = 5 * time.Second
	KeepaliveTimeout = 3 * time.Second
	KeepaliveMinTime = 2 * time.Second
	// MaxMessageBytes bounds one gRPC message: a resolved run with a large corpus manifest.
	MaxMessageBytes = 64 << 20
	retryPause      = 150 * time.Millisecond
)

// Finder holds connections to the coordinators. Safe for concurrent use.
type Finder struct {
	mu    sync.Mutex
	addrs []string
	conns map[string]*grpc.ClientConn
	guess string // address believed to be the leader's
}

// New takes the known coordinator addresses (host:port). It does not connect yet.
func New(addrs []string) (*Finder, error) {
	if len(addrs) == 0 {
		return nil, errors.New("find leader: no coordinator address; set BANYAN_ADDR or --addr")
	}
	return &Finder{addrs: addrs, conns: map[string]*grpc.ClientConn{}, guess: addrs[0]}, nil
}

// Conn is a connection to the member believed to lead.
func (f *Finder) Conn() (*grpc.ClientConn, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.conns[f.guess]; c != nil {
		return c, f.guess, nil
	}
	c, err := grpc.NewClient("passthrough:///"+f.guess,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: KeepaliveTime, Timeout: KeepaliveTimeout, PermitWithoutStream: false}),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 2 * time.Second,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6,
				Jitter: 0.2, MaxDelay: time.Second}}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes),
			grpc.MaxCallSendMsgSize(MaxMessageBytes)))
	if err != nil {
		return nil, "", fmt.Errorf("dial coordinator %s: %w", f.guess, err)
	}
	f.conns[f.guess] = c
	return c, f.guess, nil
}

// Failed tells the finder that a call to addr ended with err, so that the next Conn is better:
// the member named by a NotLeader hint, else the next in the list.
func (f *Finder) Failed(addr string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.guess != addr {
		return // somebody has moved on already
	}
	if hint, ok := Hint(err); ok && hint != "" && hint != addr {
		f.guess = hint
		return
	}
	for i, a := range f.addrs {
		if a == addr {
			f.guess = f.addrs[(i+1)%len(f.addrs)]
			return
		}
	}
	f.guess = f.addrs[0]
}

// Close closes every connection.
func (f *Finder) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = map[string]*grpc.ClientConn{}
}

// Hint extracts the leader's address from a NotLeader error; "" when it is not known yet.
func Hint(err error) (string, bool) {
	for _, d := range status.Convert(err).Details() {
		if n, ok := d.(*pb.NotLeader); ok {
			return n.GetLeaderAddress(), true
		}
	}
	return "", false
}

// Retryable reports whether another try, maybe at another member, can succeed: no leader, member
// gone, or an outcome that is unknown. The call must carry a request id if it mutates.
func Retryable(err error) bool {
	if _, ok := Hint(err); ok {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Aborted:
		return true
	}
	return false
}

// noLeaderError says in plain words that nobody could serve a call; its cause keeps the status.
type noLeaderError struct {
	addr  string
	cause error
}

func (e *noLeaderError) Error() string {
	why := status.Convert(e.cause).Message()
	if _, dial, refused := strings.Cut(why, "Error while dialing: "); refused { // gRPC's wrapping
		why = strings.TrimSuffix(dial, `"`) + "; is the cluster up? `banyan up` starts one here, " +
			"--addr or BANYAN_ADDR names another"
	}
	return fmt.Sprintf("no coordinator leads (last asked %s): %s", e.addr, why)
}

func (e *noLeaderError) Unwrap() error { return e.cause }

// shortCall is how long a call lasts that ctx may have cut off before it reached anybody.
const shortCall = 5 * time.Second

// Do calls the leader until it answers, the error is final, or ctx ends.
func (f *Finder) Do(ctx context.Context, call func(context.Context, *grpc.ClientConn) error) error {
	var none *noLeaderError // why the last try failed
	for {
		began := time.Now()
		conn, addr, err := f.Conn()
		if err == nil {
			err = call(ctx, conn)
		}
		if none != nil && ctx.Err() != nil && status.Code(err) == codes.DeadlineExceeded &&
			time.Since(began) < shortCall {
			return none // it says more than that the time is over
		}
		if err == nil || !Retryable(err) {
			return err
		}
		none = &noLeaderError{addr, err}
		f.Failed(addr, err)
		select {
		case <-ctx.Done():
			return none
		case <-time.After(retryPause):
		}
	}
}
