package state

import (
	"slices"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// registerWorker adds a worker or replaces what is known of it. Workers stay in order of id.
func (c *change) registerWorker(x *pb.RegisterWorker) {
	w := x.GetWorker()
	if w.GetId() == "" || w.GetDevices() == 0 || w.GetDevices() > MaxDevices {
		c.refuse(pb.ApplyResult_CONFLICT,
			"worker %q offers %d devices; it needs an id and 1 to %d devices",
			w.GetId(), w.GetDevices(), MaxDevices)
		return
	}
	i, found := findWorker(c.st, w.Id)
	if found {
		c.out.Replayed = proto.Equal(c.st.Workers[i], w)
		c.st.Workers[i] = proto.CloneOf(w)
		return
	}
	c.st.Workers = slices.Insert(c.st.Workers, i, proto.CloneOf(w))
}

// drain takes a worker out of the plans, whatever it says of itself later, or back in.
func (c *change) drain(x *pb.DrainWorker) {
	if _, known := findWorker(c.st, x.GetWorker()); !known {
		c.refuse(pb.ApplyResult_NOT_FOUND, "there is no worker %q; `banyan workers` lists them",
			x.GetWorker())
		return
	}
	i, drained := slices.BinarySearch(c.st.Drained, x.Worker)
	switch {
	case drained != x.Back:
		c.out.Replayed = true
	case x.Back:
		c.st.Drained = slices.Delete(c.st.Drained, i, i+1)
	default:
		c.st.Drained = slices.Insert(c.st.Drained, i, x.Worker)
	}
}

func findWorker(st *pb.ClusterState, id string) (int, bool) {
	return slices.BinarySearchFunc(st.Workers, id, func(a *pb.WorkerInfo, id string) int {
		return strings.Compare(a.Id, id)
	})
}
