package nccl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/banyan-train/banyan/collective"
)

// hello is what the ranks tell each other before they connect.
type hello struct {
	NCCL    Version `json:"nccl"`
	Staging int     `json:"staging"`         // bytes of a buffer: chunks must be of one size
	ID      []byte  `json:"id,omitempty"`    // of the communicator, from rank 0
	Error   string  `json:"error,omitempty"` // why this rank cannot
}

// Join makes the group of the ranks of a control group, which it owns from then on, also after an
// error. Rank 0 makes the unique id of a fresh communicator. What keeps one rank from joining is
// told to all. It fails when ctx ends (DefaultJoinTimeout if ctx has no deadline).
func Join(ctx context.Context, cfg Config) (*Group, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	var cancel context.CancelFunc
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, DefaultJoinTimeout)
		defer cancel()
	}
	ctx, cancel = joinContext(ctx, cfg.Control)
	defer cancel()
	g := newGroup(cfg)
	err := g.connect(ctx)
	if err == nil {
		g.start()
		err = g.tryOut(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("join NCCL as rank %d of %d: %w", g.rank, g.size, g.fold(err))
	}
	return g, nil
}

func newGroup(cfg Config) *Group {
	g := &Group{
		cfg: cfg, control: cfg.Control, rank: int(cfg.Control.Rank()), size: cfg.Control.Size(),
		pending: map[uint64]*op{}, toIssue: newQueue(), toAgree: newQueue(),
		free: make(chan *slot, len(streams)), issued: make(chan *chunk, len(streams)),
		aborted: make(chan struct{}), closing: make(chan struct{}), torn: make(chan struct{}),
	}
	g.patient, g.giveUp = context.WithCancel(context.Background())
	return g
}

// connect takes the memory, learns the id and connects.
func (g *Group) connect(ctx context.Context) error {
	dev := g.cfg.Device
	mine := hello{NCCL: g.cfg.Library.Version(), Staging: g.cfg.Staging}
	var err error
	if g.slots, err = newSlots(ctx, dev, g.cfg.Staging); err == nil && g.rank == 0 {
		var id ID
		id, err = g.cfg.Library.NewID()
		mine.ID = id[:]
	}
	all, err := g.exchange(ctx, mine, err)
	if err != nil {
		return err
	}
	if err := g.fit(all); err != nil {
		return err
	}
	g.comm, err = g.cfg.Library.Connect(ctx, dev, ID(all[0].ID), g.rank, g.size,
		g.cfg.AbortTimeout)
	// Peers wait inside of NCCL: an error of this rank reaches them by the end of the control group.
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, collective.ErrAborted) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// exchange tells all ranks what this one says, or what went wrong on it. If something did on any,
// the error says where.
func (g *Group) exchange(ctx context.Context, mine hello, failed error) ([]hello, error) {
	if failed != nil {
		mine.Error = failed.Error()
	}
	text, err := json.Marshal(mine)
	if err != nil {
		return nil, err
	}
	texts, err := g.control.AllGatherBytes(ctx, text)
	if err != nil {
		return nil, errors.Join(failed, err)
	}
	if failed != nil {
		return nil, failed
	}
	all := make([]hello, g.size)
	for r := range all {
		if err := json.Unmarshal(texts[r], &all[r]); err != nil {
			return nil, fmt.Errorf("rank %d: read its hello: %w", r, err)
		}
	}
	for r, h := range all {
		if h.Error != "" {
			return nil, fmt.Errorf("rank %d cannot: %s", r, printable(h.Error))
		}
	}
	return all, nil
}

// fit holds the hellos against each other.
func (g *Group) fit(all []hello) error {
	if len(all[0].ID) != len(ID{}) {
		return fmt.Errorf("rank 0 sent an id of %d bytes, not %d", len(all[0].ID), len(ID{}))
	}
	for r, h := range all {
		if h.NCCL != all[0].NCCL {
			return fmt.Errorf("rank %d has NCCL %v, rank 0 has %v: install one version on all "+
				"workers", r, h.NCCL, all[0].NCCL)
		}
		if h.Staging != all[0].Staging {
			return fmt.Errorf("rank %d has staging buffers of %d bytes, rank 0 of %d: give all ranks "+
				"the same", r, h.Staging, all[0].Staging)
		}
	}
	return nil
}

// start begins to serve operations.
func (g *Group) start() {
	for _, s := range g.slots {
		g.free <- s
	}
	for _, f := range []func(){g.issue, g.collect, g.agree, g.watch} {
		g.working.Go(f)
	}
}

// tryOut moves a few numbers both ways, which also makes NCCL connect what it connects late.
func (g *Group) tryOut(ctx context.Context) error {
	counts, all := make([]int, g.size), make([]float32, g.size)
	recv, send := make([][]float32, g.size), make([][]float32, g.size)
	for r := range g.size {
		counts[r] = 1
		recv[r], send[r] = []float32{-1}, []float32{float32(g.rank*g.size + r)}
	}
	gathered := g.AllGather(all, counts, []float32{float32(g.rank)})
	exchanged := g.AllToAll(recv, send)
	if err := errors.Join(gathered.Wait(ctx), exchanged.Wait(ctx)); err != nil {
		return err
	}
	var wrong []string
	for r := range g.size {
		if all[r] != float32(r) || recv[r][0] != float32(r*g.size+g.rank) {
			wrong = append(wrong, fmt.Sprintf("rank %d's are %v and %v", r, all[r], recv[r][0]))
		}
	}
	if wrong != nil {
		return fmt.Errorf("NCCL moved wrong bytes: %s", strings.Join(wrong, ", "))
	}
	return nil
}

// fold ends what a failed Join has begun.
func (g *Group) fold(err error) error {
	if g.comm != nil {
		g.Abort(err)
		<-g.torn
		_ = g.control.Close()
		return errors.Join(err, g.tearErr)
	}
	g.control.Abort(err)
	stop := time.AfterFunc(g.cfg.AbortTimeout, g.giveUp)
	defer stop.Stop()
	defer g.giveUp()
	_ = g.control.Close()
	if errors.Is(err, ErrAbortHangs) {
		return err // the staging buffers may be in use
	}
	return errors.Join(err, g.freeSlots())
}
