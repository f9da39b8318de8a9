package view

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Text shows a run to a person: on a terminal one line that keeps changing, with events above it;
// in a pipe a plain line a step.
type Text struct {
	w        io.Writer
	terminal bool
	total    uint64
	speed    float64 // seconds a step, smoothed
	drawn    bool    // the live line stands on the screen
	ended    string  // why the last generation ended, as it was shown
}

// NewText shows a run of total steps on w.
func NewText(w io.Writer, terminal bool, total uint64) *Text {
	return &Text{w: w, terminal: terminal, total: total}
}

const (
	barCells  = 24
	smoothing = 0.2 // weight of the newest step in the smoothed speed
)

// Item shows one item.
func (t *Text) Item(item *pb.WatchItem) error {
	if s := item.GetStep(); s != nil {
		return t.step(s)
	}
	if e := item.GetEvent(); e != nil {
		return t.Note(fmt.Sprintf("%s %s", mark(e.GetKind()), t.text(e)))
	}
	return nil
}

// text is what an event says that was not said: a run mostly fails for the reason for which its
// last generation has just ended.
func (t *Text) text(e *pb.Event) string {
	switch e.GetKind() {
	case pb.EventKind_GENERATION_ENDED:
		_, t.ended, _ = strings.Cut(e.GetText(), ": ")
	case pb.EventKind_RUN_FAILED:
		switch before, found := strings.CutSuffix(e.GetText(), t.ended); {
		case t.ended == "" || !found:
		case before == "":
			return "the run has failed"
		default:
			return before + "see above"
		}
	}
	return e.GetText()
}

// Shown reports whether a reason why the run is over can be read above.
func (t *Text) Shown(reason string) bool {
	return t.ended != "" && strings.HasSuffix(reason, t.ended)
}

// Note prints a line of its own above the live line.
func (t *Text) Note(line string) error {
	t.clear()
	_, err := fmt.Fprintln(t.w, line)
	return err
}

// Close leaves the live line standing.
func (t *Text) Close() {
	if t.drawn {
		fmt.Fprintln(t.w)
		t.drawn = false
	}
}

func (t *Text) step(s *pb.StepRecord) error {
	took := s.GetTimings().GetStepS()
	if t.speed == 0 {
		t.speed = took
	}
	t.speed += smoothing * (took - t.speed)
	left := time.Duration(float64(t.total-min(t.total, s.GetStep())) * t.speed * float64(time.Second))
	if err := t.evaluation(s.GetStep()-1, s.GetEvalBase()); err != nil {
		return err
	}
	line := fmt.Sprintf("step %*d/%d  loss %.4f%s  |g| %.3f  lr %.2e  %s tok/s  gen %d x%d  ETA %s",
		len(fmt.Sprint(t.total)), s.GetStep(), t.total, s.GetLoss(), byLang(s), s.GetGradNorm(),
		s.GetLr(), short(s.GetTimings().GetTokensPerS()), s.GetGeneration(),
		s.GetTimings().GetWorld(), left.Round(time.Second))
	if s.GetSkipped() != "" {
		line += "  skipped"
	}
	if !t.terminal {
		return errors.Join(t.Note(line), t.evaluation(s.GetStep(), s.GetEval()), t.mixture(s))
	}
	if err := errors.Join(t.evaluation(s.GetStep(), s.GetEval()), t.mixture(s)); err != nil {
		return err
	}
	t.clear()
	_, err := fmt.Fprint(t.w, bar(s.GetStep(), t.total), " ", line)
	t.drawn = true
	return err
}

// evaluation shows the losses of held-out sets after a step, on a line of their own.
func (t *Text) evaluation(step uint64, list []*pb.EvalResult) error {
	if len(list) == 0 {
		return nil
	}
	line := fmt.Sprintf("eval %*d/%d", len(fmt.Sprint(t.total)), step, t.total)
	for _, e := range list {
		line += fmt.Sprintf("  %s %.4f (ppl %.2f, %.4f bits/byte", e.GetSet(), e.GetLoss(),
			e.GetPerplexity(), e.GetBitsPerByte())
		if base := e.GetBaseLoss(); base > 0 {
			line += fmt.Sprintf(", %+.2f%%", 100*(e.GetLoss()-base)/base)
		}
		line += ")"
	}
	return t.Note(line)
}

// mixture shows what each source has had of the run so far, ten times in a run.
func (t *Text) mixture(s *pb.StepRecord) error {
	if len(s.GetMixture()) == 0 || s.GetStep() != t.total && s.GetStep()%max(1, t.total/10) != 0 {
		return nil
	}
	line := fmt.Sprintf("mix  %*d/%d", len(fmt.Sprint(t.total)), s.GetStep(), t.total)
	for _, m := range s.GetMixture() {
		line += fmt.Sprintf("  %s %.2f%%", m.GetName(), 100*m.GetShare())
	}
	if s.GetPadding() > 0 {
		line += fmt.Sprintf("  (%d positions of this step are padding)", s.GetPadding())
	}
	return t.Note(line)
}

func (t *Text) clear() {
	if t.drawn {
		fmt.Fprint(t.w, "\r\x1b[2K")
		t.drawn = false
	}
}

func byLang(s *pb.StepRecord) string {
	var b strings.Builder
	for _, g := range s.GetLossByLang() {
		fmt.Fprintf(&b, "  %s %.4f", g.GetName(), g.GetLoss())
	}
	return b.String()
}

func bar(step, total uint64) string {
	full := 0
	if total > 0 {
		full = int(min(step, total) * barCells / total)
	}
	return strings.Repeat("█", full) + strings.Repeat("░", barCells-full)
}

// short writes 12345 as 12.3k.
func short(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.1fM", x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%.1fk", x/1e3)
	}
	return fmt.Sprintf("%.0f", x)
}

func mark(k pb.EventKind) string {
	switch k {
	case pb.EventKind_GENERATION_ENDED, pb.EventKind_RUN_FAILED, pb.EventKind_CHECKPOINT_CORRUPT:
		return "✗"
	case pb.EventKind_REWIND, pb.EventKind_SPIKE_REWIND:
		return "↺"
	case pb.EventKind_UPDATE_SKIPPED, pb.EventKind_GUARD_ALARM, pb.EventKind_DATA_LATE,
		pb.EventKind_WAITING, pb.EventKind_CHECKPOINT_LATE:
		return "!"
	case pb.EventKind_CHECKPOINT_COMMITTED, pb.EventKind_RUN_SUCCEEDED:
		return "✓"
	}
	return "·"
}
