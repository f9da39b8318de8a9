package spec

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Defaults, all of them. They are filled in after parsing, so that a resolved spec, the stored
// run and `banyan plan` show every value that a run depends on; Format writes them out again.
//
//	base.tokenizer              the folder of base.model
//	base.extend_vocab.init      mean_subtokens
//	base.extend_vocab.init_output  base.extend_vocab.init
//	base.extend_vocab.pad_to    128 (1: no padding)
//	stores.NAME.region          empty: AWS_REGION of the process, else us-east-1
//	stores.NAME.credentials     env
//	stores.NAME.checksums       when_supported
//	data.seq_len                2048
//	data.bos                    false
//	data.doc_mask               true
//	data.weight_unit            tokens
//	data.packing                concat
//	data.max_record             16MiB
//	data.sources[].format       by the ending of each file: .jsonl, .txt or .parquet, else JSON lines
//	data.sources[].document     file (of .txt)
//	data.sources[].normalize    none
//	data.sources[].invalid_utf8 refuse
//	data.sources[].text_field   text
//	data.sources[].role         new
//	data.sources[].max_epochs   0, no cap
//	train.logical_shards        the largest power of two <= min(16, global_batch / micro_batch)
//	train.sharding              zero3
//	train.precision             fp32
//	train.numerics              reproducible
//	train.recompute             none
//	train.optimizer.lr          1e-4
//	train.optimizer.betas       [0.9, 0.95]
//	train.optimizer.eps         1e-8
//	train.optimizer.weight_decay  0.1
//	train.optimizer.clip        1 (0: none)
//	train.schedule.kind         cosine
//	train.schedule.warmup       1%
//	train.schedule.decay        10% (wsd only)
//	train.schedule.min_lr       a tenth of lr (constant: lr)
//	train.seed                  0
//	train.phases[].lr           train.optimizer.lr
//	train.spike.non_finite      stop
//	train.spike.loss            ignore
//	train.spike.zscore          6
//	train.spike.window          128
//	train.spike.max_skips       10
//	train.spike.back            20
//	train.spike.ahead           20
//	train.spike.max_rewinds     3
//	eval.every                  500
//	eval.sets[].text_field      text
//	eval.sets[].max_sequences   256
//	eval.guard.action           alarm
//	eval.guard.patience         1
//	checkpoint.every            500
//	checkpoint.keep             3
//	resources.workers           1..logical_shards
//	resources.device            auto
//	resources.threads           0, the cores of the host / ranks on it
//	resources.priority          0
//	resources.nccl              none
const (
	defaultSeqLen    = 2048
	defaultMaxRecord = 16 << 20
	defaultShardsCap = 16
)

// defaults fills what the file does not say. It runs before the checks across fields, so that
// these see the values a run would have.
func (p *parser) defaults(s *pb.RunSpec) {
	orText(&s.Base.Tokenizer, s.Base.Model)
	if e := s.Base.ExtendVocab; e != nil {
		p.value("base.extend_vocab.init", func() { e.Init = pb.VocabInit_MEAN_SUBTOKENS })
		p.value("base.extend_vocab.init_output", func() { e.InitOutput = e.Init })
		p.value("base.extend_vocab.pad_to", func() { e.PadTo = 128 })
	}
	for _, st := range s.Stores {
		orText(&st.Credentials, "env")
		orText(&st.Checksums, "when_supported")
	}
	p.defaultData(s.Data)
	p.defaultTrain(s.Train)
	p.defaultEval(s.Eval)
	p.value("checkpoint.every", func() { s.Checkpoint.Every = 500 })
	p.value("checkpoint.keep", func() { s.Checkpoint.Keep = 3 })
	p.value("resources.device", func() { s.Resources.Device = pb.Device_AUTO })
	p.value("resources.workers", func() {
		s.Resources.Workers = &pb.Range{Min: 1, Max: max(1, s.Train.LogicalShards)}
	})
}

func (p *parser) defaultData(d *pb.Data) {
	p.value("data.seq_len", func() { d.SeqLen = defaultSeqLen })
	p.value("data.doc_mask", func() { d.DocMask = true })
	p.value("data.weight_unit", func() { d.WeightUnit = pb.WeightUnit_TOKENS })
	p.value("data.packing", func() { d.Packing = pb.Packing_CONCAT })
	p.value("data.max_record", func() { d.MaxRecord = defaultMaxRecord })
	for _, src := range d.Sources {
		orText(&src.TextField, "text")
		if src.Role == pb.Role_ROLE_UNSPECIFIED {
			src.Role = pb.Role_NEW
		}
	}
}

func (p *parser) defaultTrain(t *pb.Train) {
	if t.LogicalShards == 0 {
		t.LogicalShards = LogicalShards(t.GlobalBatch, t.MicroBatch)
	}
	p.value("train.sharding", func() { t.Sharding = pb.Sharding_ZERO3 })
	p.value("train.precision", func() { t.Precision = pb.Precision_FP32 })
	p.value("train.numerics", func() { t.Numerics = pb.Numerics_REPRODUCIBLE })
	p.value("train.recompute", func() { t.Recompute = pb.Recompute_NONE })
	p.value("train.spike.non_finite", func() { t.Spike.NonFinite = pb.Spike_STOP })
	p.value("train.spike.loss", func() { t.Spike.Loss = pb.Spike_IGNORE })
	p.value("train.spike.zscore", func() { t.Spike.Zscore = 6 })
	p.value("train.spike.window", func() { t.Spike.Window = 128 })
	p.value("train.spike.max_skips", func() { t.Spike.MaxSkips = 10 })
	p.value("train.spike.back", func() { t.Spike.Back = 20 })
	p.value("train.spike.ahead", func() { t.Spike.Ahead = 20 })
	p.value("train.spike.max_rewinds", func() { t.Spike.MaxRewinds = 3 })
	o, lr := t.Optimizer, t.Schedule
	p.value("train.optimizer.lr", func() { o.Lr = 1e-4 })
	p.value("train.optimizer.betas", func() { o.Betas = []float64{0.9, 0.95} })
	p.value("train.optimizer.eps", func() { o.Eps = 1e-8 })
	p.value("train.optimizer.weight_decay", func() { o.WeightDecay = 0.1 })
	p.value("train.optimizer.clip", func() { o.Clip = 1 })
	p.value("train.schedule.kind", func() { lr.Kind = pb.ScheduleKind_COSINE })
	p.value("train.schedule.warmup", func() { lr.Warmup = &pb.Span{Share: 0.01} })
	if lr.Kind == pb.ScheduleKind_WSD {
		p.value("train.schedule.decay", func() { lr.Decay = &pb.Span{Share: 0.1} })
	}
	p.value("train.schedule.min_lr", func() {
		lr.MinLr = shiftDecimal(o.Lr, -1)
		if lr.Kind == pb.ScheduleKind_CONSTANT {
			lr.MinLr = o.Lr
		}
	})
}

func (p *parser) defaultEval(e *pb.Eval) {
	if e == nil {
		return
	}
	p.value("eval.every", func() { e.Every = 500 })
	for i, set := range e.Sets {
		orText(&set.TextField, "text")
		p.value(fmt.Sprintf("eval.sets[%d].max_sequences", i), func() { set.MaxSequences = 256 })
	}
	if e.Guard != nil {
		p.value("eval.guard.action", func() { e.Guard.Action = pb.Guard_ALARM })
		p.value("eval.guard.patience", func() { e.Guard.Patience = 1 })
	}
}

// LogicalShards is the default V of a batch: the largest power of two <= min(16, M), where
// M = global / micro micro-batches a step; 0 when there are none.
func LogicalShards(global, micro uint32) uint32 {
	if micro == 0 || global < micro {
		return 0
	}
	v := uint32(1)
	for v*2 <= min(defaultShardsCap, global/micro) {
		v *= 2
	}
	return v
}

// sections makes every section, so that checks need not ask whether the file has it.
func sections(s *pb.RunSpec) {
	s.Base, s.Data, s.Train = orNew(s.Base), orNew(s.Data), orNew(s.Train)
	s.Checkpoint, s.Resources = orNew(s.Checkpoint), orNew(s.Resources)
	s.Train.Optimizer, s.Train.Schedule = orNew(s.Train.Optimizer), orNew(s.Train.Schedule)
	s.Train.Spike = orNew(s.Train.Spike)
}

// value sets a default where the file has nothing.
func (p *parser) value(path string, set func()) {
	if p.nodes[path] == nil {
		set()
	}
}

func orText(s *string, text string) {
	if *s == "" {
		*s = text
	}
}

func orNew[T any](v *T) *T {
	if v == nil {
		return new(T)
	}
	return v
}
