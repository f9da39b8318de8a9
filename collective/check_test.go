package collective_test

import (
	"strings"
	"testing"

	"github.com/banyan-train/banyan/collective"
)

// TestChecks: what is right passes, and each thing that is wrong is named.
func TestChecks(t *testing.T) {
	const me, world = 1, 3
	v := make([]float32, 8)
	gather := func(dst []float32, counts []int, src []float32) error {
		return collective.CheckAllGather(me, world, dst, counts, src)
	}
	exchange := func(recv, send [][]float32) error {
		return collective.CheckAllToAll(me, world, recv, send)
	}
	pieces := func(counts []int, send [][]float32) error {
		return collective.CheckAllToAllFunc(me, world, counts, send)
	}
	none := make([][]float32, world)
	own := [][]float32{nil, v, nil}
	for name, c := range map[string]struct {
		err  error
		want string // "": right
	}{
		"gather":               {gather(v[:6], []int{1, 2, 3}, v[:2]), ""},
		"gather of nothing":    {gather(nil, []int{0, 0, 0}, nil), ""},
		"few counts":           {gather(v[:6], []int{3, 3}, v[:3]), "2 counts for 3 ranks"},
		"many counts":          {gather(v[:4], []int{1, 1, 1, 1}, v[:1]), "4 counts for 3 ranks"},
		"negative count":       {gather(v[:2], []int{2, -2, 2}, v[:2]), "counts[1] = -2"},
		"counts beyond dst":    {gather(v[:5], []int{1, 2, 3}, v[:2]), "counts[2] = 3"},
		"count that overflows": {gather(v[:5], []int{1, 1 << 62, 1 << 62}, v[:2]), "counts[1]"},
		"long dst":             {gather(v[:7], []int{1, 2, 3}, v[:2]), "add up to 6"},
		"long src":             {gather(v[:6], []int{1, 2, 3}, v[:3]), "src has 3"},

		"exchange":        {exchange([][]float32{v, v[:1], nil}, [][]float32{nil, v[:1], v}), ""},
		"few to receive":  {exchange(none[1:], none), "2 recv"},
		"many to send":    {exchange(none, make([][]float32, 4)), "4 send"},
		"own parts":       {exchange(own, none), "sends itself 0"},
		"own parts again": {exchange(none, own), "sends itself 8"},

		"pieces":                {pieces([]int{3, 0, 5}, [][]float32{v, nil, v}), ""},
		"few counts of pieces":  {pieces([]int{3, 0}, none), "2 counts"},
		"few slices of pieces":  {pieces([]int{3, 0, 5}, none[1:]), "2 send"},
		"pieces of its own":     {pieces([]int{3, 1, 5}, none), "expects 1 elements from itself"},
		"pieces to itself":      {pieces([]int{3, 0, 5}, own), "sends 8"},
		"negative piece counts": {pieces([]int{3, 0, -5}, none), "counts[2] = -5"},
	} {
		switch {
		case c.want == "" && c.err != nil:
			t.Errorf("%s: %v", name, c.err)
		case c.want != "" && (c.err == nil || !strings.Contains(c.err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", name, c.err, c.want)
		}
	}
}
