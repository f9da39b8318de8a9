package spec

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/optim"
)

func (p *parser) checkOptimizer(t *pb.Train) {
	o := t.Optimizer
	const at = "train.optimizer"
	p.positive(at+".lr", o.Lr)
	p.positive(at+".eps", o.Eps)
	p.atLeast(at+".weight_decay", o.WeightDecay, 0)
	p.atLeast(at+".clip", o.Clip, 0)
	if p.ok(at+".lr") && o.Lr > 1 {
		p.failAt(at+".lr", "write a rate such as 1e-4", "%v is more than 1", o.Lr)
	}
	if !p.ok(at + ".betas") {
		return
	}
	if len(o.Betas) != 2 {
		p.failAt(at+".betas", "write [0.9, 0.95]", "found %d numbers, wanted 2", len(o.Betas))
		return
	}
	for i, b := range o.Betas {
		if !(b > 0 && b < 1) {
			p.failAt(fmt.Sprintf("%s.betas[%d]", at, i), "write a number such as 0.9",
				"%v is not between 0 and 1", b)
		}
	}
}

func (p *parser) checkSchedule(s *pb.RunSpec) {
	const at = "train.schedule"
	t := s.Train
	lr := t.Schedule
	p.atLeast(at+".min_lr", lr.MinLr, 0)
	if p.ok(at+".min_lr") && lr.MinLr > t.Optimizer.Lr {
		p.failAt(at+".min_lr", "write less than train.optimizer.lr", "%v is more than the rate of %v",
			lr.MinLr, t.Optimizer.Lr)
	}
	if p.ok(at+".decay") && lr.Kind != pb.ScheduleKind_WSD && !p.bad[at+".kind"] {
		p.failAt(at+".decay", "remove it, or write kind: wsd", "only the wsd schedule has a decay")
		return
	}
	if p.bad[at+".warmup"] || p.bad[at+".decay"] || p.bad["train.steps"] || p.bad["train.tokens"] {
		return
	}
	if why := spansFit(t, optim.Length{Steps: t.Steps, TokensPerStep: TokensPerStep(s)}); why != "" {
		path := at + ".warmup"
		if p.nodes[path] == nil {
			path = at + ".decay"
		}
		p.failAt(path, "shorten warmup or decay", "%s", why)
	}
}

// spansFit says why warmup and decay do not fit into a run, or "". Steps 0: not known yet.
func spansFit(t *pb.Train, run optim.Length) string {
	w, d := t.GetSchedule().GetWarmup(), t.GetSchedule().GetDecay()
	if share := w.GetShare() + d.GetShare(); share > 1 {
		return fmt.Sprintf("warmup and decay take %v%% of the run", share*100)
	}
	if run.Steps == 0 {
		return ""
	}
	if steps := run.Of(w) + run.Of(d); steps > run.Steps {
		return fmt.Sprintf("warmup and decay take %d steps, the run has %d", steps, run.Steps)
	}
	return ""
}
