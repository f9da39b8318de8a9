package dataset

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/dataset/mix"
	"github.com/banyan-train/banyan/dataset/source"
)

// Bounds of the background work of a stream.
const (
	readers = 32 // slots read, tokenized and packed at once: most of them wait for the store
	// Finished steps that wait for Next, beside the one being made: as many as memory allows, so
	// that a store that is silent for seconds is not felt.
	aheadBytes            = 32 << 20
	aheadLeast, aheadMost = 2, 64
)

// ahead is how many steps a stream works ahead.
func (c *Config) ahead() int {
	const perInput = 4 * 4 // bytes of token, position, first and target
	step := perInput * c.SeqLen * max(1, int(c.Hi-c.Lo))
	return min(max(aheadBytes/step, aheadLeast), aheadMost)
}

// ErrClosed is what Next returns after Close.
var ErrClosed = errors.New("stream closed")

// Batch is one step's sequences of a stream's slots. It belongs to the caller.
type Batch struct {
	Step      uint64     // 1-based
	Sequences []Sequence // slots Lo..Hi-1 in order
	Cursor    *Cursor    // after this batch: the stream's own slots, and the mixer
}

// Stream delivers the sequences of a range of slots, step by step. A goroutine of its own works
// a few steps ahead. Next and Close may be called concurrently.
type Stream struct {
	cfg    Config
	id     string
	mixer  *mix.Mixer
	lanes  [][]lane // by slot from Lo, then by source
	out    chan *Batch
	err    error // set before out is closed
	cancel context.CancelFunc
	busy   []atomic.Int64 // by source: slots that make a sequence of it now
	hold   *hold
}

// Open starts a stream after the step at which a cursor stands; nil: from the first. The cursor
// may cover more slots than [Lo,Hi). ctx bounds Open only. The caller must Close the stream.
func Open(ctx context.Context, cfg Config, at *Cursor) (*Stream, error) {
	s, err := open(ctx, cfg, at)
	if err != nil {
		return nil, fmt.Errorf("open dataset: %w", err)
	}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.produce(ctx)
	return s, nil
}

func open(ctx context.Context, cfg Config, at *Cursor) (*Stream, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Stores = newPatient(cfg.Stores)
	cfg.encoders = make(chan struct{}, runtime.GOMAXPROCS(0))
	s := &Stream{cfg: cfg, id: streamID(&cfg), out: make(chan *Batch, cfg.ahead()),
		busy: make([]atomic.Int64, len(cfg.Corpus.GetSources()))}
	var err error
	if at == nil {
		s.mixer, err = mix.New(PlanOf(cfg.Corpus), cfg.GlobalBatch)
	} else if err = s.check(at); err == nil {
		s.mixer, err = mix.Resume(PlanOf(cfg.Corpus), cfg.GlobalBatch, at.Mixer)
	}
	if err != nil {
		return nil, err
	}
	s.hold = newHold(int(cfg.Hi-cfg.Lo) * len(cfg.Corpus.GetSources()))
	openers, err := cfg.openSources(ctx, s.hold.window)
	if err != nil {
		return nil, err
	}
	for slot := cfg.Lo; slot < cfg.Hi; slot++ {
		lanes := make([]lane, len(openers))
		for i, open := range openers {
			position := Position{Block: uint64(slot)}
			if at != nil {
				position = at.Slots[slot-at.Lo][i]
			}
			if lanes[i], err = open(slot, position); err != nil {
				return nil, err
			}
		}
		s.lanes = append(s.lanes, lanes)
	}
	return s, nil
}

// openSources returns what opens the lanes of each source, with readers of so large a window.
func (c *Config) openSources(ctx context.Context, window int64,
) ([]func(Slot, Position) (lane, error), error) {
	var openers []func(Slot, Position) (lane, error)
	options := source.Options{Seed: c.Seed, Slots: c.GlobalBatch, MaxRecord: c.MaxRecord,
		Window: window}
	for i, m := range c.Corpus.GetSources() {
		if m.GetStaged() {
			array, err := c.OpenStaged(ctx, m)
			if err != nil {
				return nil, err
			}
			openers = append(openers, func(slot Slot, at Position) (lane, error) {
				return newStagedLane(c, slot, i, array, at)
			})
			continue
		}
		src, err := source.Open(c.Stores, m, options)
		if err != nil {
			return nil, err
		}
		openers = append(openers, func(slot Slot, at Position) (lane, error) {
			return newReadLane(c, slot, i, src, at)
		})
	}
	return openers, nil
}

// check refuses a cursor that is not of this stream, or lacks slots.
func (s *Stream) check(at *Cursor) error {
	if err := at.Validate(); err != nil {
		return err
	}
	if at.Stream != s.id {
		return fmt.Errorf("the cursor is of another stream (%.12s, this one is %.12s): corpus, "+
			"seed, seq_len, bos, global_batch and tokenizer must be those it was made with",
			at.Stream, s.id)
	}
	if s.cfg.Lo < s.cfg.Hi && (at.Lo > s.cfg.Lo || at.Hi() < s.cfg.Hi) {
		return fmt.Errorf("the cursor covers slots [%d,%d), wanted are [%d,%d)",
			at.Lo, at.Hi(), s.cfg.Lo, s.cfg.Hi)
	}
	return nil
}

// Next returns the next step. It blocks until the step is made, ctx ends, or the stream is closed
// (ErrClosed). An error of the stream is final and returned ever after; one of ctx is not.
func (s *Stream) Next(ctx context.Context) (*Batch, error) {
	select {
	case b, ok := <-s.out:
		if !ok {
			return nil, s.err
		}
		return b, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for data: %w", ctx.Err())
	}
}

// Busy names the sources that sequences are being made of at this moment. While Next waits for
// long, these are what it waits for.
func (s *Stream) Busy() (names []string) {
	for i, m := range s.cfg.Corpus.GetSources() {
		if s.busy[i].Load() > 0 {
			names = append(names, m.GetName())
		}
	}
	return names
}

// Close stops the work in the background, and returns when it has ended. It may be called again.
func (s *Stream) Close() {
	s.cancel()
	for range s.out { // until produce has closed it
	}
}

func (s *Stream) produce(ctx context.Context) {
	defer close(s.out)
	defer s.closeLanes()
	for {
		b, err := s.step(ctx)
		if err != nil {
			s.err = err
			if ctx.Err() != nil {
				s.err = ErrClosed
			}
			return
		}
		select {
		case s.out <- b:
		case <-ctx.Done():
			s.err = ErrClosed
			return
		}
	}
}

func (s *Stream) closeLanes() {
	for _, lanes := range s.lanes {
		for _, l := range lanes {
			l.close()
		}
	}
}

// step makes one step: slots in parallel, as their lanes share nothing that changes.
func (s *Stream) step(ctx context.Context) (*Batch, error) {
	sources := s.mixer.Next()
	b := &Batch{Step: s.mixer.Step(), Sequences: make([]Sequence, len(s.lanes))}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, lanes := range s.lanes {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			source := sources[int(s.cfg.Lo)+i]
			s.busy[source].Add(1)
			defer s.busy[source].Add(-1)
			sequence, err := lanes[source].next(ctx)
			if err == nil {
				err = s.hold.settle(lanes[source])
			}
			b.Sequences[i] = sequence
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("make step %d: %w", b.Step, err)
	}
	b.Cursor = s.cursor()
	return b, nil
}

// cursor copies where everything stands between two steps.
func (s *Stream) cursor() *Cursor {
	c := &Cursor{
		Version: cursorVersion, Stream: s.id, Mixer: s.mixer.State(), Lo: s.cfg.Lo,
		Slots: make([][]Position, len(s.lanes)),
	}
	for i, lanes := range s.lanes {
		c.Slots[i] = make([]Position, len(lanes))
		for k, l := range lanes {
			c.Slots[i][k] = l.position()
		}
	}
	return c
}
