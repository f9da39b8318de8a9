//go:build unix

package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/banyan-train/banyan/store"
)

var _ store.Mapper = (*Bucket)(nil)

// Map implements store.Mapper.
//
// The mapping is of the file that was open then: replacing it by a new file, as Put does, leaves
// the mapped one whole. Only writing into the file itself can change what a View shows; View looks
// at the file's version afterwards. Truncating it takes pages away, and touching one of those
// raises SIGBUS, which View turns into ErrChanged.
func (b *Bucket) Map(ctx context.Context, key, etag string) (store.Mapping, error) {
	name, err := b.path(key)
	if err != nil {
		return nil, err
	}
	f, st, err := b.open("map", name)
	if err != nil {
		return nil, err
	}
	m := &mapping{bucket: b, file: f, name: name, etag: etag}
	if err := m.open(ctx, st); err != nil {
		f.Close()
		return nil, err
	}
	return m, nil
}

// mapping keeps the file open to ask for its version.
type mapping struct {
	bucket     *Bucket
	file       *os.File
	name, etag string
	data       []byte
}

func (m *mapping) open(ctx context.Context, st os.FileInfo) error {
	if err := m.bucket.checkTag(ctx, m.file, st, m.name, m.etag); err != nil {
		return err
	}
	if st.Size() == 0 {
		return nil // nothing to map; View refuses any byte
	}
	if st.Size() != int64(int(st.Size())) {
		return fmt.Errorf("map file://%s: %d bytes: %w", m.name, st.Size(), errors.ErrUnsupported)
	}
	var err error
	m.data, err = syscall.Mmap(int(m.file.Fd()), 0, int(st.Size()), syscall.PROT_READ,
		syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map file://%s: %w (%v)", m.name, errors.ErrUnsupported, err)
	}
	return nil
}

// View implements store.Mapping.
func (m *mapping) View(ctx context.Context, off, n int64, use func(p []byte) error) error {
	if off < 0 || n < 0 || n > int64(len(m.data)) || off > int64(len(m.data))-n {
		return fmt.Errorf("read file://%s: bytes %d..%d of a file of %d bytes: %w",
			m.name, off, off+n, len(m.data), io.ErrUnexpectedEOF)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := m.guarded(m.data[off:off+n:off+n], use); err != nil {
		return err
	}
	st, err := m.file.Stat()
	if err != nil {
		return m.bucket.explain("read", m.name, err)
	}
	return m.bucket.checkTag(ctx, m.file, st, m.name, m.etag)
}

// memoryFault is how the runtime reports a fault at an address.
type memoryFault interface {
	error
	Addr() uintptr
}

// guarded calls use; a page of p that is gone becomes an error instead of the process's end.
func (m *mapping) guarded(p []byte, use func(p []byte) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, ok := r.(memoryFault); !ok {
			panic(r) // not the file's fault
		}
		err = fmt.Errorf("read file://%s: it was truncated while mapped, or its disk failed: %w",
			m.name, store.ErrChanged)
	}()
	return use(p)
}

// Close implements store.Mapping.
func (m *mapping) Close() error {
	var err error
	if m.data != nil {
		err = syscall.Munmap(m.data)
		m.data = nil
	}
	if e := m.file.Close(); err == nil {
		err = e
	}
	return err
}
