package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/banyan-train/banyan/checkpoint"
	"github.com/banyan-train/banyan/coordinator/consensus"
	"github.com/banyan-train/banyan/coordinator/spec"
	"github.com/banyan-train/banyan/coordinator/state"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
)

// runService answers users. Reads that decide something verify the leadership afterwards (I7).
type runService struct {
	pb.UnimplementedRunServiceServer
	m *member
}

// resolveTimeout bounds pinning a run's inputs.
const resolveTimeout = 5 * time.Minute

// Launch resolves a spec and commits the run. The same request id gives the same run.
func (s runService) Launch(ctx context.Context, q *pb.LaunchRequest) (*pb.LaunchResponse, error) {
	l, run, err := s.m.begin(q.GetRequestId())
	if err != nil {
		return nil, err
	}
	if run != "" {
		return &pb.LaunchResponse{Run: run, Existed: true}, s.m.verify(ctx)
	}
	id := runID(q.GetSpec().GetName(), q.GetRequestId())
	resolved, err := resolve(ctx, q.GetSpec(), id)
	if err != nil {
		return nil, resolveError(err)
	}
	result, err := l.ask(ctx, &pb.Command{RequestId: q.GetRequestId(), Command: &pb.Command_Launch{
		Launch: &pb.LaunchRun{Run: id, Resolved: resolved, SpecYaml: q.GetSpecYaml()}}})
	if err != nil {
		return nil, s.m.proposeError(err)
	}
	return &pb.LaunchResponse{Run: result.GetRun(), Existed: result.GetReplayed()}, refusal(result)
}

// runID is readable and the same for every retry of a request.
func runID(name, request string) string {
	sum := sha256.Sum256([]byte(request))
	return name + "-" + hex.EncodeToString(sum[:3])
}

// resolve pins the inputs of a run, and sees that this coordinator can write its checkpoints'
// manifests.
func resolve(ctx context.Context, s *pb.RunSpec, run string) (*pb.ResolvedRun, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	opener, err := router.New(s.GetStores())
	if err != nil {
		return nil, err
	}
	resolved, err := spec.Resolve(ctx, spec.Inputs{Spec: s, Opener: opener})
	if err != nil {
		return nil, err
	}
	err = checkpoint.Probe(ctx, opener, s.GetCheckpoint().GetTo(), run, "coordinator")
	if err != nil {
		return nil, fmt.Errorf("checkpoint.to: %w", err)
	}
	return resolved, nil
}

// begin opens a mutating call: it needs an idempotency id (I5), and one that was applied before is
// answered with its run.
func (m *member) begin(requestID string) (l *lead, run string, err error) {
	if l, err = m.leading(); err != nil {
		return nil, "", err
	}
	if requestID == "" {
		return nil, "", status.Error(codes.InvalidArgument, "request_id is empty")
	}
	run, _ = m.machine.Request(requestID)
	return l, run, nil
}

// resolveError tells a store that does not answer, worth another try, from a spec that is wrong.
func resolveError(err error) error {
	if errors.Is(err, store.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.InvalidArgument, err.Error())
}

// GetRun answers one run by id, or by name when only one run has it.
func (s runService) GetRun(ctx context.Context, q *pb.GetRunRequest) (*pb.Run, error) {
	l, err := s.m.leading()
	if err != nil {
		return nil, err
	}
	run, err := s.m.find(q.GetRun())
	if err != nil {
		return nil, err
	}
	l.explain(run)
	return run, s.m.verify(ctx)
}

// ListRuns answers all runs in launch order.
func (s runService) ListRuns(ctx context.Context, _ *pb.ListRunsRequest,
) (*pb.ListRunsResponse, error) {
	l, err := s.m.leading()
	if err != nil {
		return nil, err
	}
	runs := s.m.machine.Runs()
	for _, run := range runs {
		l.explain(run)
	}
	return &pb.ListRunsResponse{Runs: runs}, s.m.verify(ctx)
}

// Stop asks a run to checkpoint at the next step boundary and end.
func (s runService) Stop(ctx context.Context, q *pb.StopRequest) (*pb.StopResponse, error) {
	l, before, err := s.m.begin(q.GetRequestId())
	if err != nil {
		return nil, err
	}
	if before != "" {
		return &pb.StopResponse{}, s.m.verify(ctx)
	}
	run, err := s.m.find(q.GetRun())
	if err != nil {
		return nil, err
	}
	result, err := l.ask(ctx, &pb.Command{RequestId: q.GetRequestId(), Command: &pb.Command_Stop{
		Stop: &pb.StopRun{Run: run.GetId()}}})
	if err != nil {
		return nil, s.m.proposeError(err)
	}
	return &pb.StopResponse{}, refusal(result)
}

// Resume wakes a stopped, failed or finished run, with recorded edits of its spec.
func (s runService) Resume(ctx context.Context, q *pb.ResumeRequest) (*pb.ResumeResponse, error) {
	l, before, err := s.m.begin(q.GetRequestId())
	if err != nil {
		return nil, err
	}
	if before != "" {
		return &pb.ResumeResponse{}, s.m.verify(ctx)
	}
	run, err := s.m.find(q.GetRun())
	if err != nil {
		return nil, err
	}
	cmd := &pb.ResumeRun{Run: run.GetId(), Edit: strings.Join(q.GetSet(), ", ")}
	if len(q.GetSet()) > 0 {
		edited, err := spec.Edit(run.GetResolved().GetSpec(), q.GetSet()...)
		if err == nil {
			cmd.Resolved, err = resolve(ctx, edited, run.GetId())
		}
		if err == nil {
			err = spec.KeepPast(run.GetResolved(), cmd.Resolved, state.Resumable(run).GetStep())
		}
		if err != nil {
			return nil, resolveError(err)
		}
	}
	result, err := l.ask(ctx, &pb.Command{RequestId: q.GetRequestId(),
		Command: &pb.Command_Resume{Resume: cmd}})
	if err != nil {
		return nil, s.m.proposeError(err)
	}
	return &pb.ResumeResponse{}, refusal(result)
}

// SetWeights changes the mixture of a run from a future step on, as a recorded edit.
func (s runService) SetWeights(ctx context.Context, q *pb.SetWeightsRequest,
) (*pb.SetWeightsResponse, error) {
	l, before, err := s.m.begin(q.GetRequestId())
	if err != nil {
		return nil, err
	}
	if before != "" {
		return &pb.SetWeightsResponse{}, s.m.verify(ctx)
	}
	run, err := s.m.find(q.GetRun())
	if err != nil {
		return nil, err
	}
	base := state.Newer(run)
	edited, err := spec.SetWeights(base, q.GetFromStep(), q.GetWeights())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	result, err := l.ask(ctx, &pb.Command{RequestId: q.GetRequestId(),
		Command: &pb.Command_SetWeights{SetWeights: &pb.SetWeights{Run: run.GetId(), Resolved: edited,
			BaseDigest: base.GetDigest(), FromStep: q.GetFromStep(),
			Edit: spec.WeightsText(q.GetWeights())}}})
	if err != nil {
		return nil, s.m.proposeError(err)
	}
	return &pb.SetWeightsResponse{}, refusal(result)
}

// ask has the leader's loop propose a user's command.
func (l *lead) ask(ctx context.Context, cmd *pb.Command) (*pb.ApplyResult, error) {
	reply := make(chan proposed, 1)
	if !l.post(proposal{cmd, reply}) {
		return nil, consensus.ErrNotLeader
	}
	select {
	case p := <-reply:
		return p.result, p.err
	case <-l.ended:
		return nil, consensus.ErrUnknownOutcome
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refusal turns the state machine's no into a status.
func refusal(r *pb.ApplyResult) error {
	switch r.GetCode() {
	case pb.ApplyResult_OK:
		return nil
	case pb.ApplyResult_NOT_FOUND:
		return status.Error(codes.NotFound, r.GetReason())
	}
	return status.Error(codes.FailedPrecondition, r.GetReason())
}

// find looks a run up by id, else by a name that only one run has.
func (m *member) find(name string) (*pb.Run, error) {
	if run, ok := m.machine.Run(name); ok {
		return run, nil
	}
	var found []*pb.Run
	for _, run := range m.machine.Runs() {
		if run.GetResolved().GetSpec().GetName() == name {
			found = append(found, run)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, status.Errorf(codes.NotFound, "no run %q; `banyan runs` lists them", name)
	}
	return nil, status.Errorf(codes.InvalidArgument, "%d runs are named %q; give an id, such as %s",
		len(found), name, found[len(found)-1].GetId())
}

// proposeError maps a failed proposal: not leader and unknown outcomes may be retried with the
// same request id.
func (m *member) proposeError(err error) error {
	switch {
	case errors.Is(err, consensus.ErrNotLeader):
		return m.notLeader()
	case errors.Is(err, consensus.ErrUnknownOutcome):
		return status.Error(codes.Unavailable, fmt.Sprintf("outcome unknown, retry: %v", err))
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}
