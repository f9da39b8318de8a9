package dataset

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/banyan-train/banyan/store"
)

// patience is how long a stream goes on asking a store that cannot be reached, over and above what
// the store's client tries by itself. Other ranks wait in a collective meanwhile, which they do not
// for more than two minutes.
const patience = 100 * time.Second

// patientOpener opens buckets whose reads outlast an outage.
type patientOpener struct {
	store.Opener
	limit, pause time.Duration // pause: the longest between two tries
}

func newPatient(op store.Opener) store.Opener {
	return patientOpener{op, patience, time.Second}
}

// Open implements store.Opener.
func (p patientOpener) Open(uri string) (store.Bucket, string, error) {
	b, key, err := p.Opener.Open(uri)
	if err != nil {
		return nil, "", err
	}
	return &patientBucket{b, p}, key, nil
}

type patientBucket struct {
	store.Bucket
	patientOpener
}

// ReadRange implements store.Bucket.
func (b *patientBucket) ReadRange(
	ctx context.Context, key string, off int64, p []byte, etag string,
) error {
	return b.insist(ctx, func() error { return b.Bucket.ReadRange(ctx, key, off, p, etag) })
}

// Stat implements store.Bucket.
func (b *patientBucket) Stat(ctx context.Context, key string) (info store.Info, err error) {
	err = b.insist(ctx, func() error {
		info, err = b.Bucket.Stat(ctx, key)
		return err
	})
	return info, err
}

// insist tries again while the store cannot be reached, with pauses that differ from lane to lane.
func (b *patientBucket) insist(ctx context.Context, try func() error) error {
	began := time.Now()
	for {
		err := try()
		if !errors.Is(err, store.ErrUnreachable) || time.Since(began) > b.limit {
			return err
		}
		pause := time.NewTimer(b.pause/2 + rand.N(b.pause/2+1))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}
