package metrics

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const (
	// lookEvery is how often it looks for runs to follow.
	lookEvery = 2 * time.Second
	// askTimeout bounds what a scrape waits for the cluster, below Prometheus's own 10 s.
	askTimeout = 5 * time.Second
)

// Cluster is what the exporter asks; client.Client implements it.
type Cluster interface {
	Status(ctx context.Context) (*pb.StatusResponse, error)
	Runs(ctx context.Context) ([]*pb.Run, error)
	Workers(ctx context.Context) ([]*pb.WorkerStatus, error)
	Watch(ctx context.Context, run string, from client.Cursor, fn func(*pb.WatchItem) error,
		lost func(error)) error
}

var _ Cluster = (*client.Client)(nil)

// Exporter is a collector of Prometheus.
type Exporter struct {
	cluster Cluster
	log     zerolog.Logger

	mu     sync.Mutex
	runs   map[string]*followed
	looked bool // at least once
}

// followed is what is known of a run's newest steps.
type followed struct {
	live   bool // a watch is under way
	seen   bool // it needs no other one unless it goes on
	newest *pb.StepRecord
	evals  map[string]*pb.EvalResult // newest, by set
}

// New makes an exporter. It knows no losses before Follow runs.
func New(c Cluster, log zerolog.Logger) *Exporter {
	return &Exporter{cluster: c, log: log, runs: map[string]*followed{}}
}

// Handler answers scrapes.
func (e *Exporter) Handler() http.Handler {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(e)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// Follow watches every run that is not over, or was not when it looked first, until ctx ends.
func (e *Exporter) Follow(ctx context.Context) {
	var watches sync.WaitGroup
	defer watches.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		e.look(ctx, &watches)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look begins the watches that are missing, and forgets runs that are no more. A run may begin and
// end between two looks.
func (e *Exporter) look(ctx context.Context, watches *sync.WaitGroup) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	runs, err := e.cluster.Runs(asked)
	if err != nil {
		return // the scrape says so
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	there := map[string]bool{}
	for _, r := range runs {
		id := r.GetId()
		there[id] = true
		f := e.runs[id]
		if f == nil {
			f = &followed{evals: map[string]*pb.EvalResult{}, seen: !e.looked}
			e.runs[id] = f
		}
		if f.live || f.seen && state.Over(r) {
			continue
		}
		f.live, f.seen = true, true
		from := client.Cursor{Step: state.Newest(r).GetStep()}
		if from.Step > 0 {
			from.Step-- // the record of the checkpoint itself: there may be no newer one for long
		}
		watches.Go(func() { e.watch(ctx, id, from) })
	}
	e.looked = true
	for id, f := range e.runs {
		if !there[id] && !f.live {
			delete(e.runs, id)
		}
	}
}

// watch takes a run's records in until it is over.
func (e *Exporter) watch(ctx context.Context, run string, from client.Cursor) {
	err := e.cluster.Watch(ctx, run, from, func(i *pb.WatchItem) error {
		if s := i.GetStep(); s != nil {
			e.took(run, s)
		}
		return nil
	}, nil)
	if err != nil && ctx.Err() == nil {
		e.log.Warn().Err(err).Str("run", run).Msg("watch ended; trying again")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs[run].live = false
}

func (e *Exporter) took(run string, s *pb.StepRecord) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.runs[run]
	f.newest = s
	for _, x := range s.GetEval() {
		f.evals[x.GetSet()] = x
	}
}
