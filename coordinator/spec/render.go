package spec

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/optim"
)

// maxWorlds bounds the rows of the tables by world size.
const maxWorlds = 16

// RenderPlan writes what `banyan plan` shows: what a run would be, without starting it. Write
// errors of w are dropped, as with any printing.
func RenderPlan(w io.Writer, r *pb.ResolvedRun) {
	fmt.Fprintf(w, "Run %s\n\n", r.GetSpec().GetName())
	renderSummary(w, r)
	fmt.Fprint(w, "\nMixture\n\n")
	renderMixture(w, r)
	renderReading(w, r)
	renderPhases(w, r)
	renderEval(w, r)
	fmt.Fprint(w, "\nMemory a rank, by number of workers (devices)\n\n")
	renderMemory(w, r)
	fmt.Fprint(w, "\nWork a step, by number of workers (devices)\n\n")
	renderWork(w, r)
	fmt.Fprint(w, "\nResolved spec, defaults filled in\n\n")
	b, err := Format(r.GetSpec())
	if err != nil {
		fmt.Fprintf(w, "  cannot be written: %v\n", err)
		return
	}
	for line := range strings.Lines(string(b)) {
		fmt.Fprintf(w, "  %s", line)
	}
}

func renderSummary(w io.Writer, r *pb.ResolvedRun) {
	s, m := r.GetSpec(), r.GetModel()
	t := s.GetTrain()
	tw := table(w)
	tokens := r.GetTotalSteps() * TokensPerStep(s)
	fmt.Fprintf(tw, "  model\t%s, %d layers, hidden %d, heads %d (kv %d), ffn %d, vocabulary %d\n",
		m.GetFamily(), m.GetLayers(), m.GetHiddenSize(), m.GetHeads(), m.GetKvHeads(),
		m.GetIntermediateSize(), m.GetVocabSize())
	fmt.Fprintf(tw, "  parameters\t%s\n", withCommas(r.GetParameters()))
	fmt.Fprintf(tw, "  tokenizer\t%s, %d tokens\n", r.GetTokenizer().GetUri(),
		r.GetTokenizer().GetVocabSize())
	if e := s.GetBase().GetExtendVocab(); e != nil {
		old := r.GetTokenizer().GetBase()
		fmt.Fprintf(tw, "  grown from\t%s, %d tokens; %d new, rows from %s (head %s), padded to %d\n",
			old.GetUri(), old.GetVocabSize(), r.GetTokenizer().GetVocabSize()-old.GetVocabSize(),
			word(e.GetInit()), word(e.GetInitOutput()), e.GetPadTo())
	}
	fmt.Fprintf(tw, "  steps\t%s\n", withCommas(r.GetTotalSteps()))
	fmt.Fprintf(tw, "  tokens a step\t%s = %d sequences of %d\n", withCommas(TokensPerStep(s)),
		t.GetGlobalBatch(), s.GetData().GetSeqLen())
	fmt.Fprintf(tw, "  tokens\t%s\n", withCommas(tokens))
	fmt.Fprintf(tw, "  batch\t%d micro-batches of %d, %d logical shards\n",
		t.GetGlobalBatch()/max(1, t.GetMicroBatch()), t.GetMicroBatch(), t.GetLogicalShards())
	fmt.Fprintf(tw, "  engine\t%s, %s, %s, recompute %s\n", word(t.GetSharding()),
		word(t.GetPrecision()), word(t.GetNumerics()), word(t.GetRecompute()))
	fmt.Fprintf(tw, "  learning rate\t%s\n", scheduleText(r))
	fmt.Fprintf(tw, "  checkpoints\tevery %s to %s, %d kept\n", steps(s.GetCheckpoint().GetEvery()),
		s.GetCheckpoint().GetTo(), s.GetCheckpoint().GetKeep())
	fmt.Fprintf(tw, "  digest\t%s\n", r.GetDigest())
	flush(tw)
}

// scheduleText is the learning rate of a run in words.
func scheduleText(r *pb.ResolvedRun) string {
	t, run := r.GetSpec().GetTrain(), optim.LengthOf(r)
	lr := t.GetSchedule()
	text := fmt.Sprintf("%v down to %v, %s, warm-up %s", t.GetOptimizer().GetLr(), lr.GetMinLr(),
		word(lr.GetKind()), steps(run.Of(lr.GetWarmup())))
	if lr.GetKind() == pb.ScheduleKind_WSD {
		text += ", decay " + steps(run.Of(lr.GetDecay()))
	}
	return text
}

// word is the YAML word of an enum's value.
func word(v fmt.Stringer) string { return strings.ToLower(v.String()) }

func renderMemory(w io.Writer, r *pb.ResolvedRun) {
	tw := table(w)
	fmt.Fprintln(tw, "  workers\tstate\tsums\tgather\tgradients\tactivations\tsnapshot\theld-out\t"+
		"total")
	for _, n := range worlds(r.GetSpec()) {
		m := EstimateMemory(r, n)
		fmt.Fprintf(tw, "  %d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n, bytesText(m.State),
			bytesText(m.Sums), bytesText(m.Gather), bytesText(m.Gradients), bytesText(m.Activations),
			bytesText(m.Snapshot), bytesText(m.HeldOut), bytesText(m.Total()))
	}
	flush(tw)
}

func renderWork(w io.Writer, r *pb.ResolvedRun) {
	tw := table(w)
	fmt.Fprintln(tw, "  workers\trounds\tbusy\tleaves of each rank")
	for _, n := range worlds(r.GetSpec()) {
		work := WorkOf(r.GetSpec().GetTrain(), n)
		var leaves []string
		for _, l := range work.Leaves {
			text := strconv.Itoa(l.Lo)
			if l.Len() > 1 {
				text = fmt.Sprintf("%d-%d", l.Lo, l.Hi-1)
			}
			leaves = append(leaves, text)
		}
		fmt.Fprintf(tw, "  %d\t%d\t%.0f%%\t%s\n", n, work.Rounds, 100*work.Busy,
			strings.Join(leaves, " "))
	}
	flush(tw)
}

// worlds are the world sizes that a run may have: 1 for comparison, then min..max.
func worlds(s *pb.RunSpec) []int {
	out := []int{1}
	most := min(s.GetResources().GetWorkers().GetMax(), s.GetTrain().GetLogicalShards())
	for n := 2; n <= int(most) && len(out) < maxWorlds; n++ {
		out = append(out, n)
	}
	return out
}

func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func flush(tw *tabwriter.Writer) {
	// Nothing to do about a broken pipe here; the command's exit says nothing was read.
	_ = tw.Flush()
}

func steps(n uint64) string {
	if n == 1 {
		return "1 step"
	}
	return withCommas(n) + " steps"
}

func withCommas(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesText writes a size with three digits: 0 B, 512 B, 1.50 KiB, 16.0 MiB.
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v /= 1 << 10; v < 999.5 {
			break
		}
	}
	digits := 2
	for limit := 9.995; v >= limit && digits > 0; limit *= 10 {
		digits--
	}
	return fmt.Sprintf("%.*f %s", digits, v, unit)
}
