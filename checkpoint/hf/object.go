package hf

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/banyan-train/banyan/store"
)

// object is one file of the folder, pinned.
type object struct {
	uri    string
	bucket store.Bucket
	info   store.Info

	mu      sync.Mutex
	mapping store.Mapping // made by the first view; unmapped once nothing holds the object
	plain   bool          // cannot be mapped
}

// maxReaders bounds the goroutines of one read. More than a few do not make a disk faster.
const maxReaders = 4

// view shows bytes [off, off+n) to use, which must neither keep nor change them.
func (o *object) view(ctx context.Context, off, n int64, use func(p []byte) error) error {
	m, err := o.mapped(ctx)
	if err != nil {
		return err
	}
	if m != nil {
		defer runtime.KeepAlive(o)
		return m.View(ctx, off, n, use)
	}
	p := make([]byte, n)
	if err := o.read(ctx, off, p); err != nil {
		return err
	}
	return use(p)
}

// mapped is the file's mapping, or nil if it has none.
func (o *object) mapped(ctx context.Context) (store.Mapping, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	mapper, ok := o.bucket.(store.Mapper)
	if o.mapping != nil || o.plain || !ok {
		return o.mapping, nil
	}
	m, err := mapper.Map(ctx, o.info.Key, o.info.ETag)
	if errors.Is(err, errors.ErrUnsupported) {
		o.plain = true
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	o.mapping = m
	runtime.AddCleanup(o, func(m store.Mapping) { m.Close() }, m) // a failed munmap loses addresses
	return m, nil
}

// each calls do(0) to do(n-1), by several goroutines at once if the file is local, and returns the
// error of the lowest number.
func (o *object) each(n int, do func(i int) error) error {
	readers := min(n, maxReaders, runtime.GOMAXPROCS(0))
	if _, local := o.bucket.(store.Mapper); !local {
		readers = 1
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			for i := r; i < n; i += readers {
				if errs[i] = do(i); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
