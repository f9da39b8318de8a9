package train

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestGuardTranscript plays `guard`, `set ID` and `eval STEP LOSS` lines; below each evaluation is
// what the guard does, and what it remembers. The state goes through JSON in between, as through a
// checkpoint.
func TestGuardTranscript(t *testing.T) {
	testkit.Transcripts(t, "testdata/guard.txt", func(t *testing.T, script string) string {
		var out strings.Builder
		g, s, id := &pb.Guard{}, guardState{}, "a"
		base := 0.0
		for line := range strings.Lines(script) {
			if strings.HasPrefix(line, "  ") {
				continue
			}
			out.WriteString(line)
			var step uint64
			var loss float64
			switch {
			case strings.HasPrefix(line, "guard "):
				g, base = parseGuard(t, line)
				s = guardState{}
			case strings.HasPrefix(line, "set "):
				id = strings.TrimSpace(strings.TrimPrefix(line, "set "))
			case strings.HasPrefix(line, "eval "):
				if _, err := fmt.Sscanf(line, "eval %d %g", &step, &loss); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if why := s.judge(g, id, step, loss, base); why != "" {
					fmt.Fprintf(&out, "  acts: %s\n", why)
				}
				fmt.Fprintf(&out, "  over %d, acted %v, stopped at %d\n", s.Over, s.Acted, s.Stopped)
				b, err := json.Marshal(s)
				must(t, err)
				s = guardState{}
				must(t, json.Unmarshal(b, &s))
			}
		}
		return out.String()
	})
}

func parseGuard(t *testing.T, line string) (*pb.Guard, float64) {
	t.Helper()
	g, base, action := &pb.Guard{}, 0.0, ""
	line = strings.NewReplacer("set=", "", "max_regression=", "", "action=", "", "patience=", "",
		"base=", "").Replace(line)
	if _, err := fmt.Sscanf(line, "guard %s %g %s %d %g", &g.Set, &g.MaxRegression, &action,
		&g.Patience, &base); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	g.Action = pb.Guard_Action(pb.Guard_Action_value[action])
	return g, base
}

// TestExactThroughJSON: a baseline keeps its bits, whatever it is.
func TestExactThroughJSON(t *testing.T) {
	for _, x := range []float64{1.0 / 3, math.Nextafter(2, 3), 5e-324, math.Inf(1), math.NaN()} {
		b, err := json.Marshal(baseline{Loss: exact(x)})
		must(t, err)
		var back baseline
		must(t, json.Unmarshal(b, &back))
		if math.Float64bits(float64(back.Loss)) != math.Float64bits(x) {
			t.Errorf("%v came back as %v", x, back.Loss)
		}
	}
}
