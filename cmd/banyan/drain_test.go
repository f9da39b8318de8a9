package main

import (
	"slices"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestServedBy: a leader that has not heard a worker yet still knows what is placed on it, and a
// rank that is still ending counts too.
func TestServedBy(t *testing.T) {
	placed := []*pb.Run{{Id: "r1", Ranks: []*pb.RankPlace{{Worker: "w2"}, {Worker: "w1"}}},
		{Id: "r2", Ranks: []*pb.RankPlace{{Worker: "w2"}}}, {Id: "r3"}}
	says := func(ranks ...string) []*pb.WorkerStatus {
		return []*pb.WorkerStatus{{Info: &pb.WorkerInfo{Id: "w1"}, Serving: ranks},
			{Info: &pb.WorkerInfo{Id: "w2"}, Serving: []string{"r2/1/0"}}}
	}
	for name, x := range map[string]struct {
		runs    []*pb.Run
		workers []*pb.WorkerStatus
		want    []string
	}{
		"placed and heard":     {placed, says("r1/4/1"), []string{"r1"}},
		"placed and not heard": {placed, says(), []string{"r1"}},
		"ending":               {placed[1:], says("r1/4/1"), []string{"r1/4/1"}},
		"nothing":              {placed[1:], says(), nil},
		"gone":                 {placed[1:], nil, nil},
	} {
		if got := servedBy("w1", x.runs, x.workers); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
	}
}
