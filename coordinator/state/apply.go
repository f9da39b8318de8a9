package state

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// MaxRequests bounds the remembered request ids; the oldest is dropped. A client retries for
// minutes at most, so thousands of later requests never come between a call and its retry.
const MaxRequests = 4096

// MaxFailures is how many generations in a row may end without a new checkpoint; one more and the
// run is FAILED, since it would burn its workers for ever without getting anywhere.
const MaxFailures = 10

// MaxEvents bounds the newest events kept with a run. A leader that dies between a command and the
// publication of its events has far fewer behind it.
const MaxEvents = 64

// change is one command on its way through the machine.
type change struct {
	st     *pb.ClusterState
	index  uint64
	unixMS int64
	out    *pb.ApplyResult
}

// apply is the state machine: it changes st in place and keeps no reference to cmd.
func apply(st *pb.ClusterState, index uint64, cmd *pb.Command) *pb.ApplyResult {
	c := &change{st: st, index: index, unixMS: cmd.GetUnixMs(), out: &pb.ApplyResult{}}
	if index <= st.AppliedIndex {
		c.refuse(pb.ApplyResult_CONFLICT, "index %d is applied already; the state is at %d",
			index, st.AppliedIndex)
		return c.out
	}
	st.AppliedIndex = index
	defer c.keepEvents()
	if !isRequest(cmd) {
		c.dispatch(cmd)
		return c.out
	}
	if rec := maybeRequest(st, cmd.RequestId); rec != nil {
		c.replay(rec, cmd)
		return c.out
	}
	c.dispatch(cmd)
	if c.out.Code == pb.ApplyResult_OK {
		// A refused request changed nothing; its retry is judged anew.
		c.remember(cmd.RequestId)
	}
	return c.out
}

func (c *change) dispatch(cmd *pb.Command) {
	switch x := cmd.GetCommand().(type) {
	case *pb.Command_Launch:
		c.launch(x.Launch)
	case *pb.Command_Stop:
		c.stop(x.Stop)
	case *pb.Command_Resume:
		c.resume(x.Resume)
	case *pb.Command_RegisterWorker:
		c.registerWorker(x.RegisterWorker)
	case *pb.Command_Assign:
		c.assign(x.Assign)
	case *pb.Command_Running:
		c.markRunning(x.Running)
	case *pb.Command_EndGeneration:
		c.endGeneration(x.EndGeneration)
	case *pb.Command_CommitCheckpoint:
		c.commitCheckpoint(x.CommitCheckpoint)
	case *pb.Command_RetireCheckpoint:
		c.retireCheckpoint(x.RetireCheckpoint)
	case *pb.Command_MarkCorrupt:
		c.markCorrupt(x.MarkCorrupt)
	case *pb.Command_Finish:
		c.finish(x.Finish)
	case *pb.Command_SetWeights:
		c.setWeights(x.SetWeights)
	case *pb.Command_Drain:
		c.drain(x.Drain)
	default:
		c.refuse(pb.ApplyResult_CONFLICT, "the command is empty or of a newer version")
	}
}

// isRequest says whether a command stands for a user's call, which a client may repeat.
func isRequest(cmd *pb.Command) bool {
	if cmd.GetRequestId() == "" {
		return false
	}
	return cmd.GetLaunch() != nil || cmd.GetStop() != nil || cmd.GetResume() != nil ||
		cmd.GetSetWeights() != nil || cmd.GetDrain() != nil
}

// replay answers a request id seen before. A launch may carry another run id than the first
// attempt (the proposer makes it up), so the answer is the first one's. The other commands name
// their run, and must name the same.
func (c *change) replay(rec *pb.RequestRecord, cmd *pb.Command) {
	c.out.Run = rec.Run
	named := rec.Run
	if cmd.GetStop() != nil {
		named = cmd.GetStop().GetRun()
	}
	if cmd.GetResume() != nil {
		named = cmd.GetResume().GetRun()
	}
	if cmd.GetSetWeights() != nil {
		named = cmd.GetSetWeights().GetRun()
	}
	if cmd.GetDrain() != nil {
		named = ""
	}
	if named != rec.Run {
		about := func(run string) string {
			if run == "" {
				return "a worker"
			}
			return "run " + run
		}
		c.refuse(pb.ApplyResult_CONFLICT, "request id %q was used for %s, now for %s",
			cmd.GetRequestId(), about(rec.Run), about(named))
		return
	}
	c.out.Replayed = true
	c.out.Reason = "this request was applied before"
}

func (c *change) remember(requestID string) {
	rec := &pb.RequestRecord{RequestId: requestID, Run: c.out.Run}
	c.st.Requests = append(c.st.Requests, rec)
	if extra := len(c.st.Requests) - MaxRequests; extra > 0 {
		// Copied, not resliced: the dropped records must not stay in memory.
		c.st.Requests = append([]*pb.RequestRecord(nil), c.st.Requests[extra:]...)
	}
}

// refuse answers a command that changes nothing.
func (c *change) refuse(code pb.ApplyResult_Code, format string, args ...any) {
	c.out.Code = code
	c.out.Reason = fmt.Sprintf(format, args...)
}

// again answers the leader's own command whose effect is there already: a retry after an unknown
// outcome, not an error.
func (c *change) again(format string, args ...any) {
	c.out.Replayed = true
	c.out.Reason = fmt.Sprintf(format, args...)
}

// event records that something happened to a run; its index is the Raft index that made it so.
func (c *change) event(kind pb.EventKind, gen, step uint64, format string, args ...any,
) *pb.Event {
	e := &pb.Event{
		Index: c.index, Kind: kind, Generation: gen, Step: step,
		Text: fmt.Sprintf(format, args...), UnixMs: c.unixMS,
	}
	c.out.Events = append(c.out.Events, e)
	return e
}

// keepEvents stores the command's events with their run, for the next leader to publish if this
// one cannot.
func (c *change) keepEvents() {
	r := maybeRun(c.st, c.out.Run)
	if r == nil || len(c.out.Events) == 0 {
		return
	}
	for _, e := range c.out.Events {
		r.Events = append(r.Events, proto.CloneOf(e))
	}
	for len(r.Events) > MaxEvents {
		// What says which steps of the history are superseded stays the longest.
		i := slices.IndexFunc(r.Events, func(e *pb.Event) bool {
			return e.Kind != pb.EventKind_RUN_RESUMED && e.Supersedes == 0
		})
		r.Events = slices.Delete(r.Events, max(i, 0), max(i, 0)+1)
	}
}

// target finds the run a command names, or refuses the command.
func (c *change) target(id string) *pb.Run {
	c.out.Run = id
	r := maybeRun(c.st, id)
	if r == nil {
		c.refuse(pb.ApplyResult_NOT_FOUND, "there is no run %q", id)
	}
	return r
}

func maybeRun(st *pb.ClusterState, id string) *pb.Run {
	for _, r := range st.Runs {
		if r.Id == id {
			return r
		}
	}
	return nil
}

func maybeRequest(st *pb.ClusterState, id string) *pb.RequestRecord {
	if id == "" {
		return nil
	}
	for i := len(st.Requests) - 1; i >= 0; i-- { // a retry comes soon: newest first
		if st.Requests[i].RequestId == id {
			return st.Requests[i]
		}
	}
	return nil
}
