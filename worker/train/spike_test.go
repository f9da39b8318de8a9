package train

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestSpikeTranscript plays `policy` and `step LOSS NORM` lines; below each step is the verdict,
// and what is remembered. The state goes through JSON after every step, as through a checkpoint.
func TestSpikeTranscript(t *testing.T) {
	testkit.Transcripts(t, "testdata/spike.txt", func(t *testing.T, script string) string {
		var out strings.Builder
		p, s := &pb.Spike{}, &spikeState{}
		for line := range strings.Lines(script) {
			if strings.HasPrefix(line, "  ") {
				continue
			}
			out.WriteString(line)
			switch {
			case strings.HasPrefix(line, "policy "):
				p, s = parsePolicy(t, line), &spikeState{}
			case strings.HasPrefix(line, "step "):
				var loss, norm float64
				if _, err := fmt.Sscanf(line, "step %g %g", &loss, &norm); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				why, policy := s.judge(p, loss, norm)
				switch {
				case why == "":
					why = "applied"
				case policy == pb.Spike_SKIP:
					why = "skipped: " + why
				case policy == pb.Spike_REWIND:
					why = "back: " + why
				default:
					why = "fatal: " + why
				}
				fmt.Fprintf(&out, "  %s\n  window %v, skips in a row %d\n", why, s.Losses, s.Row)
				s = throughJSON(t, s)
			}
		}
		return out.String()
	})
}

func parsePolicy(t *testing.T, line string) *pb.Spike {
	t.Helper()
	p := &pb.Spike{}
	var nonFinite, loss string
	line = strings.NewReplacer("non_finite=", "", "loss=", "", "zscore=", "", "window=", "",
		"max_skips=", "").Replace(line)
	if _, err := fmt.Sscanf(line, "policy %s %s %g %d %d", &nonFinite, &loss, &p.Zscore, &p.Window,
		&p.MaxSkips); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	p.NonFinite = pb.Spike_Policy(pb.Spike_Policy_value[strings.ToUpper(nonFinite)])
	p.Loss = pb.Spike_Policy(pb.Spike_Policy_value[strings.ToUpper(loss)])
	return p
}

func throughJSON(t *testing.T, s *spikeState) *spikeState {
	t.Helper()
	b, err := json.Marshal(s)
	must(t, err)
	back := &spikeState{}
	must(t, json.Unmarshal(b, back))
	if !reflect.DeepEqual(s, back) {
		t.Fatalf("%+v came back from JSON as %+v", s, back)
	}
	return back
}
