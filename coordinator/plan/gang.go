package plan

import (
	"fmt"
	"slices"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// WorkerView is what the leader knows of one worker when it plans.
type WorkerView struct {
	ID         string
	Devices    int
	Live       bool     // its lease holds
	Drained    bool     // it is to serve nothing
	ISAClasses []string // best first
	// Busy counts devices in use that Used does not name; they are taken to be the lowest of the
	// unnamed ones. Next fills Used itself, from the state.
	Busy int
	Used map[int]string // device in use -> the run that holds it
}

// Placement is one gang: where each rank of the next generation runs.
type Placement struct {
	Ranks    []*pb.RankPlace
	ISAClass string
}

// Gang chooses devices for the next generation of a run: as many ranks as there are free devices
// of one ISA class, up to workers.max and logical_shards; fewer than workers.min is no gang. The
// answer is the same for any order of workers.
func Gang(run *pb.Run, workers []WorkerView) (p Placement, reason string, ok bool) {
	low, high := bounds(run)
	if high < low {
		return p, fmt.Sprintf("run %s wants at least %d ranks but has %d logical shards; set "+
			"train.logical_shards to %d or more", run.GetId(), low, high, low), false
	}
	sorted := slices.Clone(workers)
	slices.SortFunc(sorted, func(a, b WorkerView) int { return strings.Compare(a.ID, b.ID) })
	class, offers := bestClass(run.GetIsaClass(), sorted, high)
	free := 0
	for _, o := range offers {
		free += len(o.devices)
	}
	if free < low {
		return p, waitReason(run, sorted, low, free), false
	}
	n := min(free, high)
	p = Placement{Ranks: spread(offers, n), ISAClass: class}
	return p, fmt.Sprintf("%s of %s on %s, %s free, the run takes %d..%d", count(n, "rank"), class,
		count(workersOf(p.Ranks), "worker"), count(free, "device"), low, high), true
}

// bounds are the fewest and the most ranks a run takes.
func bounds(run *pb.Run) (low, high int) {
	spec := run.GetResolved().GetSpec()
	low = max(1, int(spec.GetResources().GetWorkers().GetMin()))
	high = int(spec.GetResources().GetWorkers().GetMax())
	v := int(spec.GetTrain().GetLogicalShards())
	switch {
	case high == 0 && v == 0:
		high = low
	case high == 0:
		high = v
	case v > 0:
		high = min(high, v)
	}
	return low, high
}

// offer is a worker with the devices it can give, ascending.
type offer struct {
	worker  string
	devices []int
}

// offersOf lists what live workers can give to one ISA class, by worker id.
func offersOf(class string, workers []WorkerView) []offer {
	var out []offer
	for _, w := range workers {
		if !w.Live || w.Drained || !slices.Contains(w.ISAClasses, class) {
			continue
		}
		if d := freeDevices(w); len(d) > 0 {
			out = append(out, offer{w.ID, d})
		}
	}
	return out
}

func freeDevices(w WorkerView) []int {
	var free []int
	for d := range w.Devices {
		if _, used := w.Used[d]; !used {
			free = append(free, d)
		}
	}
	return free[min(max(w.Busy, 0), len(free)):]
}

// bestClass picks the ISA class: the pinned one, or the one that gives the most ranks; among
// equals the one that stands first in the workers' own order of preference, then by name.
func bestClass(pinned string, workers []WorkerView, high int) (string, []offer) {
	if pinned != "" {
		return pinned, offersOf(pinned, workers)
	}
	type score struct {
		class  string
		ranks  int
		places int // sum of its positions in the workers' lists: lower is faster
		offers []offer
	}
	scores := map[string]*score{}
	var classes []*score
	for _, w := range workers {
		if !w.Live || w.Drained {
			continue
		}
		for i, class := range w.ISAClasses {
			s := scores[class]
			if s == nil {
				s = &score{class: class, offers: offersOf(class, workers)}
				for _, o := range s.offers {
					s.ranks += len(o.devices)
				}
				s.ranks = min(s.ranks, high)
				scores[class] = s
				classes = append(classes, s)
			}
			s.places += i
		}
	}
	if len(classes) == 0 {
		return "", nil
	}
	best := slices.MinFunc(classes, func(a, b *score) int {
		if a.ranks != b.ranks {
			return b.ranks - a.ranks
		}
		if a.places != b.places {
			return a.places - b.places
		}
		return strings.Compare(a.class, b.class)
	})
	return best.class, best.offers
}

// spread takes n devices, one from each worker in turn, and numbers the ranks by worker, so that
// neighbours in the world are neighbours on a host.
func spread(offers []offer, n int) []*pb.RankPlace {
	take := make([]int, len(offers))
	for left := n; left > 0; {
		for i, o := range offers {
			if left > 0 && take[i] < len(o.devices) {
				take[i]++
				left--
			}
		}
	}
	ranks := make([]*pb.RankPlace, 0, n)
	for i, o := range offers {
		for _, d := range o.devices[:take[i]] {
			ranks = append(ranks, &pb.RankPlace{
				Rank: uint32(len(ranks)), Worker: o.worker, Device: uint32(d)})
		}
	}
	return ranks
}

func workersOf(ranks []*pb.RankPlace) int {
	n := 0
	for i, r := range ranks {
		if i == 0 || ranks[i-1].Worker != r.Worker {
			n++
		}
	}
	return n
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
