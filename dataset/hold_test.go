package dataset

import (
	"context"
	"fmt"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// steps makes steps of a stream without the goroutine, its lanes held within so many bytes.
func steps(t *testing.T, cfg Config, most int64, n int) (digests []string) {
	t.Helper()
	s, err := open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.closeLanes()
	s.hold.most = most
	for range n {
		b, err := s.step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		line := ""
		for i := range b.Sequences {
			line += fmt.Sprintf("%x ", b.Sequences[i].Digest)
		}
		digests = append(digests, line+fmt.Sprint(b.Cursor.Slots))
	}
	if most == 0 && s.hold.total.Load() > 4*2*2*s.hold.window {
		t.Errorf("%d bytes are held", s.hold.total.Load())
	}
	return digests
}

// Lanes that are closed after every sequence give what those give that stay open.
func TestI2ClosedLanesGoOnWhereTheyWere(t *testing.T) {
	for _, packing := range []pb.Packing{pb.Packing_CONCAT, pb.Packing_BEST_FIT} {
		cfg := testConfig(t, 4, 512<<10, text("a", repeat(60, 0, 400_000)...),
			text("b", repeat(9, 5, 600_000)...))
		cfg.Packing, cfg.SeqLen = packing, 5000
		want, got := steps(t, cfg, heldBytes, 40), steps(t, cfg, 0, 40)
		if a, b := strings.Join(want, "\n"), strings.Join(got, "\n"); a != b {
			t.Errorf("%v: closed lanes give\n%.2000s\nopen ones\n%.2000s", packing, b, a)
		}
	}
}
