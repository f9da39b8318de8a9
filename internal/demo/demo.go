package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/banyan-train/banyan/client"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Config of a demo.
type Config struct {
	Dir      string   // everything it writes; emptied first
	Banyan   string   // the banyan binary
	S3Server string   // the s3server binary
	Examples string   // folder of the YAML files, corpora, tokenizer and model config
	Out      *os.File // progress; a terminal gets a live line
	Err      io.Writer
}

const (
	coordinators = 3
	workers      = 3
	// limit ends a demo that hangs. On two idle cores it takes less than four minutes.
	limit = 15 * time.Minute
)

// demo is one demo under way.
type demo struct {
	cfg      Config
	env      []string // of every process
	services []*service
	fail     context.CancelCauseFunc // ends everything under way
	endpoint string                  // of the S3 server
	cluster  *cluster
	client   *client.Client
	started  time.Time
}

// Run plays the demo. It returns nil when everything was as promised, else the first difference.
// When it returns, no process that it started is left.
func Run(ctx context.Context, cfg Config) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	unlock, err := claim(cfg.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	d := &demo{cfg: cfg, started: time.Now(), fail: fail}
	defer func() { err = errors.Join(err, d.end()) }()
	if err = d.play(ctx); err != nil && interrupted(ctx) {
		return context.Cause(ctx)
	}
	return err
}

// interrupted reports whether ctx has ended, or ends in a moment: Ctrl-C reaches the process in
// the foreground too, and that one may be the first to fail of it.
func interrupted(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(200 * time.Millisecond):
		return false
	}
}

// play is the six parts in order.
func (d *demo) play(ctx context.Context) error {
	d.part(1, "a real S3 server with the corpora and a seed model")
	if err := d.startStore(ctx); err != nil {
		return err
	}
	d.part(2, fmt.Sprintf("a cluster: %d coordinators, %d workers, each a process", coordinators,
		workers))
	if err := d.startCluster(ctx); err != nil {
		return err
	}
	d.part(3, "grow an English base, then continue it on Chinese and English")
	if err := d.growBase(ctx); err != nil {
		return err
	}
	d.part(4, "in mid-run the leader is killed, then a worker; nobody helps")
	disturbed, err := d.train(ctx, d.run("quickstart", "disturbed"), d.disturb)
	if err != nil {
		return err
	}
	d.part(5, "the same YAML, undisturbed, on one worker")
	control, err := d.train(ctx, d.run("quickstart", "control", "resources.workers=1"), undisturbed)
	if err != nil {
		return err
	}
	sums, err := d.compare(ctx, disturbed, control)
	if err != nil {
		return err
	}
	d.part(6, "the result as a Hugging Face folder")
	if err := d.export(ctx, disturbed.run); err != nil {
		return err
	}
	d.summary(disturbed, sums)
	return nil
}

// growBase trains base-en and puts what it made where quickstart looks for its base.
func (d *demo) growBase(ctx context.Context) error {
	base, err := d.train(ctx, d.run("base-en", ""), undisturbed)
	if err != nil {
		return err
	}
	_, err = d.banyan(ctx, "checkpoint", "export", base.run.GetId(), "s3://models/base-en")
	return err
}

func (d *demo) export(ctx context.Context, run *pb.Run) error {
	_, err := d.banyan(ctx, "checkpoint", "export", run.GetId(), d.path("export"))
	return err
}

func (d *demo) path(elem ...string) string {
	return filepath.Join(append([]string{d.cfg.Dir}, elem...)...)
}

func (d *demo) example(elem ...string) string {
	return filepath.Join(append([]string{d.cfg.Examples}, elem...)...)
}

// end stops the cluster, then the store, and makes sure that nothing is left.
func (d *demo) end() error {
	if d.client != nil {
		d.client.Close()
	}
	var errs []error
	for i := len(d.services) - 1; i >= 0; i-- {
		d.services[i].end()
	}
	if d.cluster != nil {
		errs = append(errs, d.cluster.gone())
	}
	return errors.Join(errs...)
}
