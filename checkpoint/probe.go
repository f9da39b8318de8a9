package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/banyan-train/banyan/store"
)

// ErrWrite marks a place of checkpoints in which nothing can be written.
var ErrWrite = errors.New("cannot write checkpoints")

// Probe finds out before a run steps whether its checkpoints can be written from this host: it
// writes an object "probe/<who>" in the run's folder, and deletes it. No checkpoint, cursor or
// manifest has such a name, so neither recovery nor Sweep looks at one that a crash leaves; the
// next probe of the same writer replaces it.
//
// What it answers is ErrWrite too, and names the place, the host and what may be done. That the
// object cannot be deleted is no error of Probe: who writes need not be allowed to delete.
func Probe(ctx context.Context, op store.Opener, to, run, who string) error {
	b, key, err := op.Open(join(runDir(to, run), "probe/"+who))
	if err == nil {
		err = probe(ctx, b, key)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		host, _ := os.Hostname() // "" where there is none, which is no news here
		err = fmt.Errorf("%w to %s from host %s: %w", ErrWrite, to, host, err)
		if !errors.Is(err, store.ErrUnreachable) {
			err = fmt.Errorf("%w; checkpoint.to has to be a place that every worker and coordinator "+
				"can write to", err)
		}
		return err
	}
	// What stays if this fails is one small object a writer, and the run is none the worse.
	_ = b.Delete(ctx, key)
	return nil
}

// probeTries is how often an answer that is no plain no is doubted, with pauses from probePause on
// that double. Servers that keep objects as files remove folders that become empty, so that the
// deletion of one probe may get into the way of another.
const (
	probeTries = 6
	probePause = 50 * time.Millisecond
)

func probe(ctx context.Context, b store.Bucket, key string) error {
	const text = "written to see whether checkpoints can be\n"
	for try := 1; ; try++ {
		_, err := b.Put(ctx, key, strings.NewReader(text), int64(len(text)), false)
		if err == nil || plain(err) || try == probeTries {
			return err
		}
		pause := probePause << (try - 1)
		again := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return context.Cause(ctx)
		}
	}
}

// plain reports whether an error says all: no, or that the store's own tries were in vain.
func plain(err error) bool {
	for _, class := range []error{store.ErrDenied, store.ErrNoBucket, store.ErrFull,
		store.ErrUnreachable} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}
