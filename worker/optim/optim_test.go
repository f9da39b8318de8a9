package optim_test

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/optim"
)

// The transcript holds schedules, each followed by lines "step rate". It was computed by hand from
// the formulas in the doc comment of LR, not by the code.
func TestScheduleTranscript(t *testing.T) {
	f, err := os.Open("testdata/schedules.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s *pb.LrSchedule
	var peak float64
	var run optim.Length
	checked := 0
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "schedule "); ok {
			s, peak, run = parseSchedule(t, n, rest)
			continue
		}
		var step uint64
		var want float64
		if _, err := fmt.Sscan(line, &step, &want); err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		checked++
		if got := optim.LR(s, peak, step, run); math.Abs(got-want) > 1e-15 {
			t.Errorf("line %d: step %d has rate %v, want %v", n, step, got, want)
		}
	}
	if err := lines.Err(); err != nil || checked == 0 {
		t.Fatalf("checked %d steps: %v", checked, err)
	}
}

func parseSchedule(t *testing.T, n int, line string) (*pb.LrSchedule, float64, optim.Length) {
	t.Helper()
	s := &pb.LrSchedule{Warmup: &pb.Span{}, Decay: &pb.Span{}}
	var kind string
	var peak float64
	run := optim.Length{TokensPerStep: 64}
	if _, err := fmt.Sscanf(line, "%s peak=%g min=%g warmup=%d/%g/%d decay=%d/%g total=%d", &kind,
		&peak, &s.MinLr, &s.Warmup.Steps, &s.Warmup.Share, &s.Warmup.Tokens, &s.Decay.Steps,
		&s.Decay.Share, &run.Steps); err != nil {
		t.Fatalf("line %d: %v", n, err)
	}
	s.Kind = pb.ScheduleKind(pb.ScheduleKind_value[kind])
	return s, peak, run
}

// Any schedule stays between 0 and the peak, rises in warm-up, never rises after it, and is defined
// where a span is longer than the run.
func TestScheduleShape(t *testing.T) {
	spans := []*pb.Span{nil, {}, {Steps: 1}, {Steps: 7}, {Steps: 1000}, {Share: 0.3}, {Share: 2},
		{Tokens: 7}, {Tokens: 1 << 60}}
	for kind := range pb.ScheduleKind_name {
		for _, warmup := range spans {
			for _, decay := range spans {
				s := &pb.LrSchedule{Kind: pb.ScheduleKind(kind), Warmup: warmup, Decay: decay, MinLr: 0.1}
				for _, total := range []uint64{0, 1, 2, 20} {
					checkShape(t, s, optim.Length{Steps: total, TokensPerStep: 4})
				}
			}
		}
	}
}

func checkShape(t *testing.T, s *pb.LrSchedule, run optim.Length) {
	t.Helper()
	total := run.Steps
	w := min(run.Of(s.Warmup), total)
	before := 0.0
	for step := uint64(1); step <= total+2; step++ {
		lr := optim.LR(s, 1, step, run)
		rising := step <= w
		if !(lr >= 0 && lr <= 1) || rising && lr < before || !rising && step > w+1 && lr > before {
			t.Errorf("%v, total %d: step %d has rate %v after %v", s, total, step, lr, before)
		}
		before = lr
	}
}

func TestSpansRound(t *testing.T) {
	for _, c := range []struct {
		span *pb.Span
		want uint64
	}{
		{nil, 0}, {&pb.Span{Share: 0.05}, 1}, {&pb.Span{Share: 0.07}, 1}, {&pb.Span{Share: 0.08}, 2},
		{&pb.Span{Share: 2}, 20}, {&pb.Span{Steps: 99, Share: 0.5}, 99}, {&pb.Span{Tokens: 1}, 1},
		{&pb.Span{Tokens: 100}, 1}, {&pb.Span{Tokens: 101}, 2}, {&pb.Span{Tokens: 5000}, 50},
	} {
		if got := (optim.Length{Steps: 20, TokensPerStep: 100}).Of(c.span); got != c.want {
			t.Errorf("%v of 20 steps is %d, want %d", c.span, got, c.want)
		}
	}
}

func TestStep(t *testing.T) {
	o := &pb.Optimizer{Betas: []float64{0.9, 0.95}, Eps: 1e-8, WeightDecay: 0.1}
	s := optim.Step(o, 3e-4, 3, true, 0.5)
	if s.LR != 3e-4 || s.Beta1 != 0.9 || s.Beta2 != 0.95 || s.Eps != 1e-8 || s.WeightDecay != 0.1 ||
		s.GradScale != 0.5 {
		t.Errorf("constants are %+v", s)
	}
	// 1/(1-0.9^3) and 1/(1-0.95^3)
	if s.Correction1 != float32(1/0.271) || s.Correction2 != float32(1/0.142625) {
		t.Errorf("corrections are %v and %v", s.Correction1, s.Correction2)
	}
	if s := optim.Step(o, 3e-4, 3, false, 0.5); s.WeightDecay != 0 {
		t.Errorf("weight decay without decay is %v", s.WeightDecay)
	}
	if s := optim.Step(o, 3e-4, 1<<40, false, 1); s.Correction1 != 1 || s.Correction2 != 1 {
		t.Errorf("late corrections are %v and %v", s.Correction1, s.Correction2)
	}
}

func TestClipFactor(t *testing.T) {
	for _, c := range []struct{ norm, clip, want float64 }{
		{0.5, 1, 1}, {1, 1, 1}, {4, 1, 0.25}, {4, 0, 1}, {0, 1, 1},
	} {
		if got := optim.ClipFactor(c.norm, c.clip); got != c.want {
			t.Errorf("factor of norm %v clipped at %v is %v, want %v", c.norm, c.clip, got, c.want)
		}
	}
	if got := optim.Norm([]float32{9, 0, 16}); got != 5 {
		t.Errorf("norm is %v, want 5", got)
	}
}
