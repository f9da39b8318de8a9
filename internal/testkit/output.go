package testkit

import (
	"io"
	"strings"
	"sync"
)

// Output collects what processes or goroutines write, and may be read meanwhile.
type Output struct {
	mu  sync.Mutex
	buf strings.Builder
}

var _ io.Writer = (*Output)(nil)

// Write appends.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is all that was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
