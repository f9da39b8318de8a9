package agent

import (
	"maps"
	"slices"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// resendEvery is how long records may stay unacknowledged before they are said again.
const resendEvery = 3 * time.Second

// maxKeptRecords bounds the records kept for a leader that never acknowledges. What is dropped is
// in the next checkpoint's curve.
const maxKeptRecords = 20_000

// outbox keeps what ranks said until the leader no longer needs it, so that a new leader learns
// it again.
type outbox struct {
	reports map[key]*pb.RankReport
	shards  map[key]map[uint64]*pb.ShardReport // by step, until committed
	records map[key]*recordQueue
}

type recordQueue struct {
	list    []*pb.StepRecord // consecutive, not acknowledged
	stalled bool             // nothing was acknowledged since the last look
}

func newOutbox() *outbox {
	return &outbox{reports: map[key]*pb.RankReport{},
		shards: map[key]map[uint64]*pb.ShardReport{}, records: map[key]*recordQueue{}}
}

func (o *outbox) report(r *pb.RankReport) *pb.WorkerMessage {
	o.reports[key{r.GetRun(), r.GetGeneration(), r.GetRank()}] = r
	return &pb.WorkerMessage{Message: &pb.WorkerMessage_Rank{Rank: r}}
}

// ended reports whether a rank has said its last word.
func (o *outbox) ended(k key) bool {
	p := o.reports[k].GetPhase()
	return p == pb.RankPhase_DEAD || p == pb.RankPhase_DONE
}

func (o *outbox) shard(s *pb.ShardReport) *pb.WorkerMessage {
	k := key{s.GetRun(), s.GetGeneration(), s.GetRank()}
	if o.shards[k] == nil {
		o.shards[k] = map[uint64]*pb.ShardReport{}
	}
	o.shards[k][s.GetStep()] = s
	return &pb.WorkerMessage{Message: &pb.WorkerMessage_Shard{Shard: s}}
}

// committed drops shard reports that a committed checkpoint has made needless.
func (o *outbox) committed(k key, step uint64) {
	for s := range o.shards[k] {
		if s <= step {
			delete(o.shards[k], s)
		}
	}
}

func (o *outbox) record(k key, r *pb.StepRecord) *pb.WorkerMessage {
	q := o.records[k]
	if q == nil {
		q = &recordQueue{}
		o.records[k] = q
	}
	q.list = append(q.list, r)
	if len(q.list) > maxKeptRecords {
		q.list = slices.Clone(q.list[len(q.list)-maxKeptRecords/2:])
	}
	return recordsMessage(k, []*pb.StepRecord{r})
}

// acknowledge drops what the leader has published. With a gap it answers what to say again, if that
// can close it: a leader that lost what an earlier one had acknowledged waits for a checkpoint's
// curve, and would ask again at once.
func (o *outbox) acknowledge(a *pb.RecordsAck) []*pb.WorkerMessage {
	var again []*pb.WorkerMessage
	for k, q := range o.records {
		if k.run != a.GetRun() || k.generation != a.GetGeneration() {
			continue
		}
		i := 0
		for i < len(q.list) && q.list[i].GetStep() <= a.GetStep() {
			i++
		}
		q.list = slices.Clone(q.list[i:])
		q.stalled = false
		if len(q.list) > 0 && q.list[0].GetStep() <= a.GetResendFrom() {
			again = append(again, q.messages(k)...)
		}
		if len(q.list) == 0 && o.reports[k] == nil {
			delete(o.records, k)
		}
	}
	return again
}

// forget drops reports and shards of ranks that are over. Records of a rank that finished cleanly
// stay until they are acknowledged; those of a dead one will be made again.
func (o *outbox) forget(over func(key) bool) {
	for k, r := range o.reports {
		if over(k) {
			if r.GetPhase() == pb.RankPhase_DEAD {
				delete(o.records, k)
			}
			delete(o.reports, k)
			delete(o.shards, k)
		}
	}
	for k, q := range o.records {
		if over(k) && len(q.list) == 0 {
			delete(o.records, k)
		}
	}
}

// overdue is called from time to time: records with no acknowledgement since the last call.
func (o *outbox) overdue() []*pb.WorkerMessage {
	var out []*pb.WorkerMessage
	for k, q := range o.records {
		if q.stalled && len(q.list) > 0 {
			out = append(out, q.messages(k)...)
		}
		q.stalled = true
	}
	return out
}

// everything is what a new leader must hear: records before reports, because a report of DONE
// says that all records came before it.
func (o *outbox) everything() []*pb.WorkerMessage {
	var out []*pb.WorkerMessage
	for k, q := range o.records {
		out = append(out, q.messages(k)...)
	}
	for _, byStep := range o.shards {
		for _, step := range slices.Sorted(maps.Keys(byStep)) {
			out = append(out, &pb.WorkerMessage{Message: &pb.WorkerMessage_Shard{Shard: byStep[step]}})
		}
	}
	have := &pb.Inventory{}
	for _, r := range o.reports {
		have.Ranks = append(have.Ranks, r)
	}
	return append(out, &pb.WorkerMessage{Message: &pb.WorkerMessage_Inventory{Inventory: have}})
}

// recordsPerMessage keeps a message far below what gRPC takes, however many sources a record has.
const recordsPerMessage = 500

// messages says everything in the queue again.
func (q *recordQueue) messages(k key) []*pb.WorkerMessage {
	var out []*pb.WorkerMessage
	for part := range slices.Chunk(q.list, recordsPerMessage) {
		out = append(out, recordsMessage(k, part))
	}
	return out
}

func recordsMessage(k key, list []*pb.StepRecord) *pb.WorkerMessage {
	return &pb.WorkerMessage{Message: &pb.WorkerMessage_Records{Records: &pb.StepRecords{
		Run: k.run, Generation: k.generation, Records: list}}}
}
