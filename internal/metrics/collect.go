package metrics

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("banyan_"+name, help, labels, nil)
}

// What is exported. The label "run" is a run's id.
var (
	up = desc("up", "1 if a coordinator leads and answers.")
	// Of the coordinators.
	leads = desc("coordinator_leads", "1 for the coordinator that leads.", "coordinator")
	// Of workers.
	workerLive = desc("worker_live", "1 while the worker is connected to the leader.", "worker")
	workerOut  = desc("worker_drained", "1 if the worker is drained.", "worker")
	devices    = desc("worker_devices", "Devices that the worker has.", "worker")
	serves     = desc("worker_ranks", "Ranks that the worker serves.", "worker")
	silence    = desc("worker_silence_seconds", "Since the worker was heard last.", "worker")
	// Of runs, from the replicated state.
	runState   = desc("run_state", "1 for the state that the run is in.", "run", "name", "state")
	generation = desc("run_generation", "Newest generation of the run.", "run")
	ranks      = desc("run_ranks", "Ranks of the live generation.", "run")
	failures   = desc("run_failures", "Generations in a row without a new checkpoint.", "run")
	planned    = desc("run_planned_steps", "Steps that the run is to make.", "run")
	saved      = desc("run_checkpoint_step", "Step of the newest usable checkpoint, or 0.", "run")
	// Of runs, from the newest step record.
	stepDone   = desc("run_step", "Newest step whose record is known.", "run")
	loss       = desc("run_loss_nats", "Loss of the newest step, a target.", "run")
	langLoss   = desc("run_language_loss_nats", "The same of a language's targets.", "run", "lang")
	sourceLoss = desc("run_source_loss_nats", "The same of a source's targets.", "run", "source")
	gradNorm   = desc("run_gradient_norm", "Norm of the gradient before clipping.", "run")
	rate       = desc("run_learning_rate", "Learning rate of the newest step.", "run")
	tokens     = desc("run_tokens_total", "Targets trained on in the history that survives.", "run")
	stepTime   = desc("run_step_seconds", "Duration of the newest step.", "run")
	dataWait   = desc("run_data_wait_seconds", "Of the newest step, waiting for data.", "run")
	commWait   = desc("run_exchange_wait_seconds", "Of the newest step, waiting for ranks.", "run")
	stepAt     = desc("run_step_timestamp_seconds", "When the newest step was made.", "run")
	skipped    = desc("run_step_skipped", "1 if the newest step's update was not applied.", "run")
	evalLoss   = desc("run_eval_loss_nats", "Newest loss on a held-out set.", "run", "set", "lang")
	evalBase   = desc("run_eval_base_loss_nats", "The same before training.", "run", "set", "lang")
)

var all = []*prometheus.Desc{up, leads, workerLive, workerOut, devices, serves, silence, runState,
	generation, ranks, failures, planned, saved, stepDone, loss, langLoss, sourceLoss, gradNorm,
	rate, tokens, stepTime, dataWait, commWait, stepAt, skipped, evalLoss, evalBase}

// Describe implements prometheus.Collector.
func (e *Exporter) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range all {
		ch <- d
	}
}

// page is one scrape's answer.
type page chan<- prometheus.Metric

func (p page) gauge(d *prometheus.Desc, v float64, labels ...string) {
	p <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (p page) flag(d *prometheus.Desc, v bool, labels ...string) {
	p.gauge(d, map[bool]float64{true: 1}[v], labels...)
}

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	p := page(ch)
	runs, err := e.cluster.Runs(ctx)
	var workers []*pb.WorkerStatus
	if err == nil {
		workers, err = e.cluster.Workers(ctx)
	}
	p.flag(up, err == nil)
	if s, err := e.cluster.Status(ctx); err == nil {
		for _, m := range s.GetMembers() {
			p.flag(leads, m.GetGrpcAddress() == s.GetLeaderAddress(), m.GetId())
		}
	}
	if err != nil {
		return
	}
	for _, w := range workers {
		p.worker(w)
	}
	for _, r := range runs {
		p.run(r)
		newest, evals := e.known(r.GetId())
		if newest != nil {
			p.record(r.GetId(), newest)
		}
		for _, x := range evals {
			p.gauge(evalLoss, x.GetLoss(), r.GetId(), x.GetSet(), x.GetLang())
			if x.GetBaseLoss() > 0 {
				p.gauge(evalBase, x.GetBaseLoss(), r.GetId(), x.GetSet(), x.GetLang())
			}
		}
	}
}

// known is what a run's watch has taken in.
func (e *Exporter) known(run string) (*pb.StepRecord, []*pb.EvalResult) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.runs[run]
	if f == nil {
		return nil, nil
	}
	return f.newest, slices.Collect(maps.Values(f.evals))
}

func (p page) worker(w *pb.WorkerStatus) {
	id := w.GetInfo().GetId()
	p.flag(workerLive, w.GetLive(), id)
	p.flag(workerOut, w.GetDrained(), id)
	p.gauge(devices, float64(w.GetInfo().GetDevices()), id)
	p.gauge(serves, float64(len(w.GetServing())), id)
	p.gauge(silence, float64(w.GetSinceHeartbeatMs())/1000, id)
}

func (p page) run(r *pb.Run) {
	id := r.GetId()
	p.gauge(runState, 1, id, r.GetResolved().GetSpec().GetName(), r.GetState().String())
	p.gauge(generation, float64(r.GetGeneration()), id)
	p.gauge(ranks, float64(len(r.GetRanks())), id)
	p.gauge(failures, float64(r.GetFailures()), id)
	p.gauge(planned, float64(r.GetResolved().GetTotalSteps()), id)
	p.gauge(saved, float64(state.Newest(r).GetStep()), id)
}

func (p page) record(run string, s *pb.StepRecord) {
	p.gauge(stepDone, float64(s.GetStep()), run)
	p.gauge(loss, s.GetLoss(), run)
	for _, x := range s.GetLossByLang() {
		p.gauge(langLoss, x.GetLoss(), run, x.GetName())
	}
	for _, x := range s.GetLossBySource() {
		p.gauge(sourceLoss, x.GetLoss(), run, x.GetName())
	}
	p.gauge(gradNorm, s.GetGradNorm(), run)
	p.gauge(rate, s.GetLr(), run)
	p <- prometheus.MustNewConstMetric(tokens, prometheus.CounterValue, float64(s.GetTokens()), run)
	t := s.GetTimings()
	p.gauge(stepTime, t.GetStepS(), run)
	p.gauge(dataWait, t.GetDataS(), run)
	p.gauge(commWait, t.GetCommS(), run)
	p.gauge(stepAt, float64(t.GetUnixMs())/1000, run)
	p.flag(skipped, s.GetSkipped() != "", run)
}
