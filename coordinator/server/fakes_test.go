package server

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/coordinator/consensus"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// fakeGroup is a Raft group of one that commits at once, to a real state machine.
type fakeGroup struct {
	machine *state.Machine

	mu        sync.Mutex
	index     uint64
	err       error  // answered instead of committing
	leader    string // "": nobody leads
	verifyErr error  // answered by Verify
	saw       func(*pb.Command, *pb.ApplyResult)
}

var _ group = (*fakeGroup)(nil)

func (g *fakeGroup) Propose(_ context.Context, cmd *pb.Command) (*pb.ApplyResult, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return nil, g.err
	}
	g.index++
	result := g.machine.Apply(g.index, cmd)
	if g.saw != nil {
		g.saw(cmd, result)
	}
	return result, nil
}

func (g *fakeGroup) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

func (g *fakeGroup) Leader() (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leader, g.leader != ""
}

func (g *fakeGroup) LeaderCh() <-chan consensus.Leadership { return nil }

func (g *fakeGroup) Verify(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.verifyErr
}

// fakeBus keeps every item in memory. It can be down.
type fakeBus struct {
	mu      sync.Mutex
	items   []*pb.WatchItem
	ids     map[string]bool
	down    bool
	changed chan struct{}
}

var _ Bus = (*fakeBus)(nil)

var errDown = errors.New("bus is down")

func newBus() *fakeBus {
	return &fakeBus{ids: map[string]bool{}, changed: make(chan struct{})}
}

func (b *fakeBus) Publish(_ context.Context, _, id string, item *pb.WatchItem) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errDown
	}
	if b.ids[id] {
		return nil
	}
	b.ids[id] = true
	b.items = append(b.items, item)
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

func (b *fakeBus) Read(_ context.Context, _ string, fn func(*pb.WatchItem) error) error {
	list, _, err := b.from(0)
	for _, item := range list {
		if err := fn(item); err != nil {
			return err
		}
	}
	return err
}

func (b *fakeBus) Follow(ctx context.Context, _ string, fn func(*pb.WatchItem) error) error {
	for n := 0; ; {
		list, changed, _ := b.from(n)
		for _, item := range list {
			if err := fn(item); err != nil {
				return err
			}
		}
		n += len(list)
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *fakeBus) from(n int) ([]*pb.WatchItem, <-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, b.changed, errDown
	}
	return b.items[n:], b.changed, nil
}

func (b *fakeBus) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// testConfig of a member "c1" whose log is dropped.
func testConfig() Config {
	return Config{ID: "c1", LeaseTTL: DefaultLeaseTTL, StallLimit: DefaultStallLimit,
		Members: []Address{{ID: "c1", GRPC: "c1:1"}, {ID: "c2", GRPC: "c2:1"}, {ID: "c3", GRPC: "c3:1"}},
		Log:     zerolog.Nop()}
}

// leadership runs a leader's loop over fakes until the test, or an earlier call of stop, ends it.
type leadership struct {
	*lead
	stop func()
}

func beginLeadership(t *testing.T, cfg Config, g *fakeGroup, bus Bus) *leadership {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	l := newLead(cfg, g, g.machine, bus, ended)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run(ctx)
	}()
	stop := sync.OnceFunc(func() {
		close(ended)
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return &leadership{l, stop}
}

// pass lets time go by. Tests run on the virtual clock of a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

func stepRecord(step uint64, loss float64) *pb.StepRecord {
	return &pb.StepRecord{Step: step, Generation: 1, Loss: loss, GradNorm: 1 / float64(step),
		Timings: &pb.Timings{UnixMs: int64(step)}}
}

func stepItem(s *pb.StepRecord) *pb.WatchItem {
	return &pb.WatchItem{Item: &pb.WatchItem_Step{Step: s}}
}

func eventItem(e *pb.Event) *pb.WatchItem {
	return &pb.WatchItem{Item: &pb.WatchItem_Event{Event: e}}
}
