package main

import (
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/worker/kernel"
)

// TestRanksMoveAndAdd: what is timed does what it says.
func TestRanksMoveAndAdd(t *testing.T) {
	const world = 3
	const elements = world * (collective.PieceElements + 5) // two pieces a shard
	ranks := make([]*server, world)
	peers, bare := make([]string, world), make([]string, world)
	for r := range ranks {
		ranks[r] = &server{products: map[matmulSize][]kernel.Op{}}
		t.Cleanup(ranks[r].close)
		if _, err := ranks[r].serve(&request{Do: "all_gather"}); err == nil {
			t.Fatal("a collective without a backend is served")
		}
		if _, err := ranks[r].serve(&request{Do: "open", Threads: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := ranks[r].serve(&request{Do: "all_gather"}); err == nil {
			t.Fatal("a collective without a group is served")
		}
		a, err := ranks[r].serve(&request{Do: "listen"})
		if err != nil {
			t.Fatal(err)
		}
		peers[r], bare[r] = a["address"].(string), a["bare"].(string)
	}
	all := func(do string) {
		t.Helper()
		var group errgroup.Group
		for r, s := range ranks {
			group.Go(func() error {
				_, err := s.serve(&request{Do: do, Repeat: 2, groupSize: groupSize{Rank: r,
					Peers: peers, Bare: bare, Bytes: 4*elements + 3}})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("%s: %v", do, err)
		}
	}
	check := func(do string, want func(rank, i int) float32) {
		t.Helper()
		all(do)
		for r, s := range ranks {
			for i, got := range s.be.Host(s.member.out)[:elements/world] {
				if w := want(r, i); got != w {
					t.Fatalf("%s: element %d of rank %d is %v, want %v", do, i, r, got, w)
				}
			}
		}
	}
	value := func(rank, i int) float32 { return float32(i%1000+rank) / 1024 }
	all("join")
	all("bare")
	check("all_gather", func(_, i int) float32 { return value(0, i) })
	check("reduce_scatter", func(rank, i int) float32 {
		i += rank * elements / world
		return value(0, i) + value(1, i) + value(2, i)
	})
}
