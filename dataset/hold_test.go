package dataset

import (
	"context"
	"fmt"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// heldSteps makes steps of a stream without its goroutine; with tight, lanes may hold nothing.
func heldSteps(t *testing.T, cfg Config, tight bool) (digests []string) {
	t.Helper()
	s, err := open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeLanes()
	if tight {
		s.hold.most, s.hold.window = 0, 0
	}
	for range 200 {
		b, err := s.step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		line := ""
		for i := range b.Sequences {
			line += fmt.Sprintf("%x ", b.Sequences[i].Digest)
		}
		digests = append(digests, line+fmt.Sprint(b.Cursor.Slots))
		if held := s.hold.total.Load(); tight != (held == 0) {
			t.Fatalf("tight %v: %d bytes are held", tight, held)
		}
	}
	return digests
}

// Lanes that are closed after every sequence give what those give that stay open.
func TestI2ClosedLanesGoOnWhereTheyWere(t *testing.T) {
	for _, packing := range []pb.Packing{pb.Packing_CONCAT, pb.Packing_BEST_FIT} {
		cfg := testConfig(t, 4, 512, text("a", repeat(60, 0, 200)...), text("b", repeat(90, 5, 60)...))
		cfg.Packing = packing
		open, closed := heldSteps(t, cfg, false), heldSteps(t, cfg, true)
		if a, b := strings.Join(open, "\n"), strings.Join(closed, "\n"); a != b {
			t.Errorf("%v: closed lanes give\n%.2000s\nopen ones\n%.2000s", packing, b, a)
		}
	}
}
