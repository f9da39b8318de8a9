package train

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/dataset"
)

// silent is a source of batches that never come.
type silent struct{}

func (silent) Next(ctx context.Context) (*dataset.Batch, error) { return nil, ctx.Err() }
func (silent) Busy() []string                                   { return []string{"wiki-zh"} }

// listener keeps what it is told about waits.
type listener struct {
	sink
	waiting []string
}

func (l *listener) Waiting(sources []string) {
	l.waiting = append(l.waiting, fmt.Sprint(sources))
}

// A long wait is said once a tick, with the source that keeps it, and no more once it is over.
func TestWaitingForDataIsSaid(t *testing.T) {
	var out bytes.Buffer
	told := &listener{}
	tr := &trainer{log: zerolog.New(&out), done: 41, sink: told}
	done, ticks := make(chan struct{}), make(chan time.Time)
	var over sync.WaitGroup
	over.Go(func() { tr.complain(done, ticks, silent{}) })
	for range 2 {
		ticks <- time.Now()
	}
	close(done)
	over.Wait()
	said := out.String()
	if n := strings.Count(said, "waiting for data"); n != 2 || !strings.Contains(said, "wiki-zh") ||
		!strings.Contains(said, `"step":42`) {
		t.Errorf("said %q", said)
	}
	if got := strings.Join(told.waiting, " "); got != "[wiki-zh] [wiki-zh] []" {
		t.Errorf("told the worker %s", got)
	}
}
