package train

import (
	"context"
	"sync"
	"time"

	"github.com/banyan-train/banyan/dataset"
)

// silence is how long a rank waits for data before it says so, and again each time as long.
const silence = 5 * time.Second

// batches is what a rank reads its steps from: a dataset.Stream.
type batches interface {
	Next(ctx context.Context) (*dataset.Batch, error)
	Busy() []string
}

// nextBatch waits for the next batch. A wait that is felt is told with the sources that keep it: a
// store that is away for a minute stalls the step, and should not do so in silence.
func (t *trainer) nextBatch(ctx context.Context, from batches) (*dataset.Batch, error) {
	ticker := time.NewTicker(silence)
	defer ticker.Stop()
	done := make(chan struct{})
	var over sync.WaitGroup
	over.Go(func() { t.complain(done, ticker.C, from) })
	defer over.Wait() // it uses the sink
	defer close(done)
	return from.Next(ctx)
}

// complain tells at every tick until done, and then, if it has, that it is over.
func (t *trainer) complain(done <-chan struct{}, ticks <-chan time.Time, from batches) {
	began, said := time.Now(), false
	for {
		select {
		case <-done:
			if said {
				t.sink.Waiting(nil)
			}
			return
		case now := <-ticks:
			said = true
			t.sink.Waiting(from.Busy())
			t.log.Warn().Uint64("step", t.done+1).Strs("sources", from.Busy()).
				Dur("waited", now.Sub(began)).Msg("waiting for data")
		}
	}
}
