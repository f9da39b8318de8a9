package agent

import (
	"maps"
	"slices"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// resendEvery is how long records may stay unacknowledged before they are said again.
const resendEvery = 3 * time.Second

// maxKeptRecords bounds the records kept for a run whose checkpoints are far apart. What is dropped
// is in the next checkpoint's curve.
const maxKeptRecords = 20_000

// outbox keeps what ranks said until the leader no longer needs it, so that a new leader learns
// it again.
type outbox struct {
	reports map[key]*pb.RankReport
	shards  map[key]map[uint64]*pb.ShardReport // by step, until committed
	records map[key]*recordQueue
}

// recordQueue keeps a rank's records until a checkpoint that holds them is committed, also those
// the leader has published: its successor may come before the group's telemetry is back.
type recordQueue struct {
	list    []*pb.StepRecord // consecutive
	acked   uint64           // published up to this step
	stalled bool             // nothing was acknowledged since the last look
}

// after is what follows a step.
func (q *recordQueue) after(step uint64) []*pb.StepRecord {
	i := 0
	for i < len(q.list) && q.list[i].GetStep() <= step {
		i++
	}
	return q.list[i:]
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

// committed drops what a committed checkpoint has made needless: its shard reports, and the records
// that its curve holds.
func (o *outbox) committed(k key, step uint64) {
	for s := range o.shards[k] {
		if s <= step {
			delete(o.shards[k], s)
		}
	}
	if q := o.records[k]; q != nil {
		q.list = slices.Clone(q.after(step))
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

// acknowledge notes what the leader has published. With a gap it answers what to say again, if that
// can close it: a leader that misses what is no longer kept waits for a checkpoint's curve, and
// would ask again at once.
func (o *outbox) acknowledge(a *pb.RecordsAck) []*pb.WorkerMessage {
	var again []*pb.WorkerMessage
	for k, q := range o.records {
		if k.run != a.GetRun() || k.generation != a.GetGeneration() {
			continue
		}
		q.acked = max(q.acked, a.GetStep())
		q.stalled = false
		if from := a.GetResendFrom(); len(q.list) > 0 && q.list[0].GetStep() <= from {
			again = append(again, messages(k, q.after(from-1))...)
		}
	}
	return again
}

// forget drops what ranks said that are over: a finished one's records are in its last checkpoint,
// a dead one's will be made again.
func (o *outbox) forget(over func(key) bool) {
	for k := range o.reports {
		if over(k) {
			delete(o.records, k)
			delete(o.reports, k)
			delete(o.shards, k)
		}
	}
}

// overdue is called from time to time: records with no acknowledgement since the last call.
func (o *outbox) overdue() []*pb.WorkerMessage {
	var out []*pb.WorkerMessage
	for k, q := range o.records {
		if q.stalled {
			out = append(out, messages(k, q.after(q.acked))...)
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
		out = append(out, messages(k, q.list)...)
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

func messages(k key, list []*pb.StepRecord) []*pb.WorkerMessage {
	var out []*pb.WorkerMessage
	for part := range slices.Chunk(list, recordsPerMessage) {
		out = append(out, recordsMessage(k, part))
	}
	return out
}

func recordsMessage(k key, list []*pb.StepRecord) *pb.WorkerMessage {
	return &pb.WorkerMessage{Message: &pb.WorkerMessage_Records{Records: &pb.StepRecords{
		Run: k.run, Generation: k.generation, Records: list}}}
}
