package spec

import (
	"fmt"
	"io"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/optim"
)

// renderPhases shows what is trained when; nothing for a run without phases.
func renderPhases(w io.Writer, r *pb.ResolvedRun) {
	t := r.GetSpec().GetTrain()
	if len(t.GetPhases()) == 0 {
		return
	}
	fmt.Fprint(w, "\nPhases\n\n")
	tw := table(w)
	fmt.Fprintln(tw, "  steps\ttrained\tparameters\tpeak rate")
	run, first := optim.LengthOf(r), uint64(1)
	row := func(last uint64, parts []string, peak float64) {
		if last = min(last, run.Steps); first <= last {
			fmt.Fprintf(tw, "  %s-%s\t%s\t%s\t%v\n", withCommas(first), withCommas(last),
				strings.Join(parts, ", "), withCommas(countSelected(r.GetModel(), parts...)), peak)
			first = last + 1
		}
	}
	for _, p := range t.GetPhases() {
		row(run.Of(p.GetUntil()), p.GetTrain(), optim.Peak(t.GetOptimizer(), p))
	}
	row(run.Steps, []string{"all"}, t.GetOptimizer().GetLr())
	flush(tw)
}

// renderEval shows the held-out sets; nothing for a run without evaluation.
func renderEval(w io.Writer, r *pb.ResolvedRun) {
	e := r.GetSpec().GetEval()
	if e == nil {
		return
	}
	fmt.Fprintf(w, "\nEvaluation, at step 0, every %s and at the end\n\n", steps(e.GetEvery()))
	tw := table(w)
	fmt.Fprintln(tw, "  set\tlang\tfiles\tbytes\tsequences\theld-out tokens")
	for i, set := range e.GetSets() {
		files, size := 0, uint64(0)
		if i < len(r.GetEvalSets()) {
			files = len(r.EvalSets[i].GetFiles())
			for _, f := range r.EvalSets[i].GetFiles() {
				size += f.GetSize()
			}
		}
		n := uint64(set.GetMaxSequences())
		fmt.Fprintf(tw, "  %s\t%s\t%d\t%s\tat most %s\tat most %s\n", set.GetName(), set.GetLang(),
			files, bytesText(int64(size)), withCommas(n),
			withCommas(n*uint64(r.GetSpec().GetData().GetSeqLen())))
	}
	flush(tw)
	for _, set := range e.GetSets() {
		for _, src := range r.GetSpec().GetData().GetSources() {
			if src.GetUri() == set.GetUri() {
				fmt.Fprintf(w, "\n  note: %s is not held out: the source %s trains on the same files\n",
					set.GetName(), src.GetName())
			}
		}
	}
	if g := e.GetGuard(); g != nil {
		act := "an alarm is raised"
		if g.GetAction() == pb.Guard_STOP {
			act = "the run stops"
		}
		when := "one evaluation"
		if n := g.GetPatience(); n > 1 {
			when = fmt.Sprintf("%d evaluations in a row", n)
		}
		fmt.Fprintf(w, "\n  guard: when the loss of %s is more than %v%% above step 0's in %s, %s\n",
			g.GetSet(), 100*g.GetMaxRegression(), when, act)
	}
}
