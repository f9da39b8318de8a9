package demo

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/client"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// launch says how to start a run.
type launch struct {
	name   string   // of the run and of its YAML file
	record string   // name of the file for `watch --json`; empty: none
	set    []string // overrides
}

// trained is a run and all that was seen of it.
type trained struct {
	run     *pb.Run // as launched; after train: as it ended
	history *history
	kills   []*kill
}

// during is what happens to a run while it trains.
type during func(context.Context, *trained) error

// undisturbed leaves a run alone.
func undisturbed(context.Context, *trained) error { return nil }

// run describes a run of one of the examples against this demo's store.
func (d *demo) run(name, record string, set ...string) launch {
	return launch{name, record, append([]string{"stores.default.endpoint=" + d.endpoint}, set...)}
}

const (
	appearWithin = 60 * time.Second // from the launch command to a run that can be looked up
	callWithin   = 30 * time.Second // one question to the cluster, a leader change included
)

// train launches a run and shows it until it has succeeded. Beside it, a second watcher records
// the run as JSON lines and a third one, in this process, sees what happens.
func (d *demo) train(ctx context.Context, l launch, then during) (*trained, error) {
	before, err := d.runs(ctx)
	if err != nil {
		return nil, err
	}
	t := &trained{history: newHistory()}
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		args := []string{"launch", d.example(l.name + ".yaml"), "--watch"}
		for _, s := range l.set {
			args = append(args, "--set", s)
		}
		return d.foreground(inner, args...)
	})
	group.Go(func() error {
		if err := d.appeared(inner, before, t); err != nil {
			return err
		}
		if l.record != "" {
			group.Go(func() error { return d.record(inner, t.run.GetId(), l.record) })
		}
		group.Go(func() error {
			defer t.history.close()
			return d.client.Watch(inner, t.run.GetId(), client.Cursor{}, t.history.Item, nil)
		})
		return then(inner, t)
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return t, d.succeeded(ctx, t)
}

// runs is the set of runs that exist.
func (d *demo) runs(ctx context.Context) (map[string]*pb.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	list, err := d.client.Runs(ctx)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	out := map[string]*pb.Run{}
	for _, r := range list {
		out[r.GetId()] = r
	}
	return out, nil
}

// appeared waits for the run that was not there before.
func (d *demo) appeared(ctx context.Context, before map[string]*pb.Run, t *trained) error {
	ctx, cancel := context.WithTimeoutCause(ctx, appearWithin,
		fmt.Errorf("launch: no new run after %v", appearWithin))
	defer cancel()
	for {
		now, err := d.runs(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		for id, r := range now {
			if before[id] == nil {
				t.run = r
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pollEvery):
		}
	}
}

// record writes what `banyan watch --json` prints to a file of the demo's folder.
func (d *demo) record(ctx context.Context, run, name string) error {
	f, err := os.Create(d.records(name))
	if err != nil {
		return fmt.Errorf("record run: %w", err)
	}
	defer f.Close()
	errs, err := os.Create(d.path("logs", "watch-"+name+".log"))
	if err != nil {
		return fmt.Errorf("record run: %w", err)
	}
	defer errs.Close()
	cmd, err := d.command(ctx, "watch", run, "--json")
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = f, errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("record run: banyan watch %s --json: %w; see %s", run, err, errs.Name())
	}
	return nil
}

// records is the file with the step records of one of the two compared runs.
func (d *demo) records(name string) string { return d.path(name + ".jsonl") }

// succeeded looks at how a run ended.
func (d *demo) succeeded(ctx context.Context, t *trained) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	run, err := d.client.Run(ctx, t.run.GetId())
	if err != nil {
		return fmt.Errorf("look up run: %w", err)
	}
	t.run = run
	if run.GetState() != pb.RunState_SUCCEEDED {
		return fmt.Errorf("run %s is %s, not SUCCEEDED: %s", run.GetId(), run.GetState(), run.GetReason())
	}
	return nil
}
