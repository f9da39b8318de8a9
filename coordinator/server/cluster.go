package server

import (
	"context"
	"slices"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

type clusterService struct {
	pb.UnimplementedClusterServiceServer
	m *member
}

// Status is answered by any member, from what it knows.
func (s clusterService) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	_, err := s.m.leading()
	out := &pb.StatusResponse{Member: s.m.cfg.ID, Leader: err == nil,
		LeaderAddress: s.m.leaderAddress(), AppliedIndex: s.m.machine.AppliedIndex()}
	for _, p := range s.m.cfg.Members {
		out.Members = append(out.Members, &pb.Member{Id: p.ID, RaftAddress: p.Raft,
			GrpcAddress: p.GRPC, Voter: true})
	}
	return out, nil
}

// ListWorkers is answered by the leader, who holds the leases.
func (s clusterService) ListWorkers(ctx context.Context, _ *pb.ListWorkersRequest,
) (*pb.ListWorkersResponse, error) {
	l, err := s.m.leading()
	if err != nil {
		return nil, err
	}
	reply := make(chan *pb.ListWorkersResponse, 1)
	if !l.post(query{func() { reply <- l.listWorkers() }}) {
		return nil, s.m.notLeader()
	}
	select {
	case r := <-reply:
		return r, s.m.verify(ctx)
	case <-l.ended:
		return nil, s.m.notLeader()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// DrainWorker takes a worker out of the plans, or back in. What it serves moves at a checkpoint.
func (s clusterService) DrainWorker(ctx context.Context, q *pb.DrainWorkerRequest,
) (*pb.DrainWorkerResponse, error) {
	l, _, err := s.m.begin(q.GetRequestId())
	if err != nil {
		return nil, err
	}
	result, err := l.ask(ctx, &pb.Command{RequestId: q.GetRequestId(), Command: &pb.Command_Drain{
		Drain: &pb.DrainWorker{Worker: q.GetWorker(), Back: q.GetBack()}}})
	if err != nil {
		return nil, s.m.proposeError(err)
	}
	return &pb.DrainWorkerResponse{}, refusal(result)
}

// query runs a read inside the leader's loop.
type query struct{ read func() }

func (l *lead) listWorkers() *pb.ListWorkersResponse {
	out := &pb.ListWorkersResponse{}
	serving := map[string][]string{}
	for k, r := range l.reports {
		if !over(r.GetPhase()) {
			serving[r.worker] = append(serving[r.worker], k.String())
		}
	}
	st := l.machine.State()
	for _, w := range st.GetWorkers() {
		x := &pb.WorkerStatus{Info: w, Drained: slices.Contains(st.GetDrained(), w.GetId())}
		if s := l.sessions[w.GetId()]; s != nil { // what a lost one still serves, nobody knows
			x.Live, x.Address, x.Serving = true, s.host, serving[w.GetId()]
		}
		if _, known := l.leases[w.GetId()]; known || x.GetLive() {
			x.SinceHeartbeatMs = l.silence(w.GetId()).Milliseconds()
		}
		out.Workers = append(out.Workers, x)
	}
	return out
}
