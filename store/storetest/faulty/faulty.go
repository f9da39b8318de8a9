package faulty

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/banyan-train/banyan/store"
)

var (
	_ store.Opener = (*Opener)(nil)
	_ store.Bucket = (*bucket)(nil)
)

// Op is a method of store.Bucket.
type Op string

// The methods that rules can name.
const (
	Put    Op = "put"
	Read   Op = "read"
	Stat   Op = "stat"
	List   Op = "list"
	Delete Op = "delete"
)

// Fault is what happens to a call. Its fields apply in their order.
type Fault struct {
	Hang  bool         // wait until ctx ends, return its cause
	Err   error        // fail with this, the call having no effect
	After error        // make the call, then fail with this: an answer that got lost
	Data  func([]byte) // changes what a Read returned
}

// FlipBit changes one bit of what a read returns, at this byte of it (modulo its length).
func FlipBit(at int) Fault {
	return Fault{Data: func(p []byte) {
		if len(p) > 0 {
			p[at%len(p)] ^= 1
		}
	}}
}

// Truncate makes a read fail as one past the end of an object does.
func Truncate() Fault { return Fault{Err: io.ErrUnexpectedEOF} }

// Rule says which calls a fault happens to.
type Rule struct {
	Op    Op     // empty: every method
	Key   string // part of the key; empty: every key
	Nth   int    // only the n-th call that matches, counted from 1; 0: all
	Fault Fault
}

// Opener wraps every bucket of another opener. Safe for concurrent use.
type Opener struct {
	real store.Opener

	mu    sync.Mutex
	rules []*counted
	calls map[Op]int
	bytes int64
}

type counted struct {
	Rule
	seen int
}

// Wrap makes an Opener without any fault.
func Wrap(real store.Opener) *Opener { return &Opener{real: real, calls: make(map[Op]int)} }

// Add adds a rule. The first rule that applies to a call decides.
func (o *Opener) Add(r Rule) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rules = append(o.rules, &counted{Rule: r})
}

// Clear removes all rules and counts.
func (o *Opener) Clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rules, o.calls, o.bytes = nil, make(map[Op]int), 0
}

// Calls is the number of calls of a method so far, faulty ones included.
func (o *Opener) Calls(op Op) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[op]
}

// BytesRead is the number of bytes all reads asked for.
func (o *Opener) BytesRead() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// Open implements store.Opener.
func (o *Opener) Open(uri string) (store.Bucket, string, error) {
	b, key, err := o.real.Open(uri)
	if err != nil {
		return nil, "", err
	}
	return &bucket{o, b}, key, nil
}

func (o *Opener) fault(op Op, key string, n int) Fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls[op]++
	o.bytes += int64(n)
	for _, r := range o.rules {
		if (r.Op != "" && r.Op != op) || !strings.Contains(key, r.Key) {
			continue
		}
		r.seen++
		if r.Nth == 0 || r.Nth == r.seen {
			return r.Fault
		}
	}
	return Fault{}
}

type bucket struct {
	o    *Opener
	real store.Bucket
}

// do makes a call under the fault that applies to it.
func (b *bucket) do(ctx context.Context, op Op, key string, p []byte, call func() error) error {
	f := b.o.fault(op, key, len(p))
	if f.Hang {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if f.Err != nil {
		return f.Err
	}
	if err := call(); err != nil {
		return err
	}
	if f.Data != nil {
		f.Data(p)
	}
	return f.After
}

func (b *bucket) Put(
	ctx context.Context, key string, body io.ReadSeeker, size int64, ifAbsent bool,
) (info store.Info, err error) {
	err = b.do(ctx, Put, key, nil, func() (err error) {
		info, err = b.real.Put(ctx, key, body, size, ifAbsent)
		return err
	})
	return info, err
}

func (b *bucket) ReadRange(
	ctx context.Context, key string, off int64, p []byte, etag string,
) error {
	return b.do(ctx, Read, key, p, func() error { return b.real.ReadRange(ctx, key, off, p, etag) })
}

func (b *bucket) Stat(ctx context.Context, key string) (info store.Info, err error) {
	err = b.do(ctx, Stat, key, nil, func() (err error) {
		info, err = b.real.Stat(ctx, key)
		return err
	})
	return info, err
}

func (b *bucket) List(ctx context.Context, prefix string) (out []store.Info, err error) {
	err = b.do(ctx, List, prefix, nil, func() (err error) {
		out, err = b.real.List(ctx, prefix)
		return err
	})
	return out, err
}

func (b *bucket) Delete(ctx context.Context, key string) error {
	return b.do(ctx, Delete, key, nil, func() error { return b.real.Delete(ctx, key) })
}
