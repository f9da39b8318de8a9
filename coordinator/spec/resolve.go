package spec

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/worker/model"
	"github.com/banyan-train/banyan/worker/optim"
	"google.golang.org/protobuf/proto"
)

// Inputs is what Resolve works on.
type Inputs struct {
	Spec   *pb.RunSpec // as Parse or Edit returned it; not changed
	Opener store.Opener
	// Unread leaves sources and held-out sets unread, as far as the plan does not need them: for who
	// looks for what is broken in them.
	Unread bool

	readers *readers // nil: the real ones
}

// readers read and pin the three kinds of input, and look whether checkpoints have a place.
type readers struct {
	model     func(ctx context.Context, uri string) (*pb.ModelConfig, []*pb.PinnedFile, error)
	tokenizer func(ctx context.Context, b *pb.Base) (*pb.TokenizerPin, error)
	corpus    func(ctx context.Context, d *pb.Data, globalBatch uint32) (*pb.Corpus, error)
	sets      func(ctx context.Context, e *pb.Eval) ([]*pb.SourceManifest, error)
	weigh     func(ctx context.Context, r *pb.ResolvedRun) error
	probe     func(ctx context.Context, r *pb.ResolvedRun) error
	target    func(ctx context.Context, uri string) error
}

func readersOf(op store.Opener) *readers {
	return &readers{
		model: func(ctx context.Context, uri string) (*pb.ModelConfig, []*pb.PinnedFile, error) {
			f, err := hf.Load(ctx, op, uri)
			if err != nil {
				return nil, nil, err
			}
			return f.Config(), f.Files(), nil
		},
		tokenizer: func(ctx context.Context, b *pb.Base) (*pb.TokenizerPin, error) {
			if e := b.GetExtendVocab(); e != nil {
				_, pin, err := tokenize.LoadGrown(ctx, op, b.GetTokenizer(), e.GetTokenizer())
				return pin, err
			}
			_, pin, err := tokenize.Load(ctx, op, b.GetTokenizer())
			return pin, err
		},
		corpus: func(ctx context.Context, d *pb.Data, globalBatch uint32) (*pb.Corpus, error) {
			return dataset.Pin(ctx, op, d, globalBatch)
		},
		sets: func(ctx context.Context, e *pb.Eval) ([]*pb.SourceManifest, error) {
			return dataset.PinSets(ctx, op, e.GetSets())
		},
		weigh:  func(ctx context.Context, r *pb.ResolvedRun) error { return weigh(ctx, op, r) },
		probe:  func(ctx context.Context, r *pb.ResolvedRun) error { return probe(ctx, op, r) },
		target: func(ctx context.Context, uri string) error { return reachable(ctx, op, uri) },
	}
}

// reachable says whether a checkpoint folder can be looked into: a missing bucket or credentials
// that are not let in would otherwise come out at the first checkpoint only. That writing is
// allowed too cannot be known without writing: a launch finds out (checkpoint.Probe), but a plan
// does not.
func reachable(ctx context.Context, op store.Opener, uri string) error {
	bucket, key, err := op.Open(strings.TrimRight(uri, "/") + "/manifest.json")
	if err != nil {
		return err
	}
	if _, err = bucket.Stat(ctx, key); errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// probe reads the first document of every source, and makes the first sequence of every held-out
// set: what is wrong with them would be found out by ranks only.
func probe(ctx context.Context, op store.Opener, r *pb.ResolvedRun) error {
	err := dataset.Probe(ctx, op, r.GetCorpus(), int64(r.GetSpec().GetData().GetMaxRecord()))
	if err != nil {
		err = fmt.Errorf("data.sources: %w", err)
	}
	if len(r.GetEvalSets()) > 0 {
		if e := probeSets(ctx, op, r); e != nil {
			err = errors.Join(err, fmt.Errorf("eval.sets: %w", e))
		}
	}
	return err
}

func probeSets(ctx context.Context, op store.Opener, r *pb.ResolvedRun) error {
	tok, err := tokenize.LoadPinned(ctx, op, r.GetTokenizer())
	if err != nil {
		return err
	}
	var errs []error
	data := r.GetSpec().GetData()
	for _, m := range r.GetEvalSets() {
		set, err := dataset.OpenSet(dataset.SetConfig{Manifest: m, SeqLen: int(data.GetSeqLen()),
			BOS: data.GetBos(), DocMask: data.GetDocMask(), MaxRecord: int64(data.GetMaxRecord()),
			Tokenizer: tok, Stores: op})
		if err == nil {
			_, err = set.Next(ctx)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("held-out set %q: %w", m.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

// weigh samples the sources that need it, and turns the weights of the spec into shares of the
// tokens. It comes after the inputs are read: a sample needs the tokenizer.
func weigh(ctx context.Context, op store.Opener, r *pb.ResolvedRun) error {
	data := r.GetSpec().GetData()
	sampled := false
	for i := range data.GetSources() {
		sampled = sampled || dataset.NeedsSample(data, i)
	}
	if sampled {
		tok, err := tokenize.LoadPinned(ctx, op, r.GetTokenizer())
		if err != nil {
			return err
		}
		if err := dataset.Measure(ctx, dataset.ConfigOf(r, tok, op), data); err != nil {
			return err
		}
	}
	return dataset.Weigh(r.GetCorpus(), data, r.GetSpec().GetTrain().GetGlobalBatch())
}

// Resolve reads and pins every input of a spec: what it returns is all that the loss curve and
// the weights depend on. All inputs are read before it fails, and all that is wrong is reported;
// each error names the field. It writes nothing and may be retried.
func Resolve(ctx context.Context, in Inputs) (*pb.ResolvedRun, error) {
	if err := Validate(in.Spec); err != nil {
		return nil, err
	}
	from := in.readers
	if from == nil {
		from = readersOf(in.Opener)
	}
	r := &pb.ResolvedRun{Spec: proto.CloneOf(in.Spec)}
	s := r.Spec
	if err := from.readAll(ctx, r); err != nil {
		return nil, fmt.Errorf("resolve run %s: %w", s.Name, err)
	}
	if err := extend(r); err != nil {
		return nil, fmt.Errorf("resolve run %s: base.extend_vocab: %w", s.Name, err)
	}
	if err := from.weigh(ctx, r); err != nil {
		return nil, fmt.Errorf("resolve run %s: data: %w", s.Name, err)
	}
	r.TotalSteps = TotalSteps(s)
	if err := errors.Join(fit(r)...); err != nil {
		return nil, fmt.Errorf("resolve run %s: %w", s.Name, err)
	}
	if !in.Unread {
		if err := from.probe(ctx, r); err != nil {
			return nil, fmt.Errorf("resolve run %s: %w", s.Name, err)
		}
	}
	r.Parameters = model.ParameterCount(r.Model)
	var err error
	if r.Digest, err = Digest(r); err != nil {
		return nil, err
	}
	return r, nil
}

// readAll fills in what a run's inputs are. They are read side by side: a store that does not
// answer is waited for once, not once an input.
func (from *readers) readAll(ctx context.Context, r *pb.ResolvedRun) error {
	s := r.Spec
	var errs [5]error // in the order of the spec
	var wait sync.WaitGroup
	read := func(i int, field string, do func() error) {
		wait.Go(func() {
			if err := do(); err != nil {
				errs[i] = fmt.Errorf("%s: %w", field, err)
			}
		})
	}
	read(0, "base.model", func() (err error) {
		r.Model, r.BaseFiles, err = from.model(ctx, s.Base.Model)
		return err
	})
	read(1, "base.tokenizer", func() (err error) {
		r.Tokenizer, err = from.tokenizer(ctx, s.Base)
		return err
	})
	read(2, "data.sources", func() (err error) {
		r.Corpus, err = from.corpus(ctx, s.Data, s.Train.GlobalBatch)
		return err
	})
	read(3, "checkpoint.to", func() error { return from.target(ctx, s.Checkpoint.To) })
	read(4, "eval.sets", func() (err error) {
		r.EvalSets, err = from.sets(ctx, s.Eval)
		return err
	})
	wait.Wait()
	return errors.Join(errs[:]...)
}

// extend gives the model the rows of the grown tokenizer.
func extend(r *pb.ResolvedRun) error {
	e := r.GetSpec().GetBase().GetExtendVocab()
	if e == nil {
		return nil
	}
	base := r.GetTokenizer().GetBase()
	if base.GetVocabSize() > r.GetModel().GetVocabSize() {
		return fmt.Errorf("%s has %d tokens, the model's vocabulary has %d; base.tokenizer must be "+
			"that of the base model", base.GetUri(), base.GetVocabSize(), r.GetModel().GetVocabSize())
	}
	r.Model = proto.CloneOf(r.Model)
	r.Model.VocabSize = uint32(hf.PaddedRows(int(r.GetTokenizer().GetVocabSize()), int(e.GetPadTo())))
	return model.Check(r.Model)
}

// fit checks the inputs against each other and against the spec.
func fit(r *pb.ResolvedRun) []error {
	s, m, tok := r.Spec, r.Model, r.Tokenizer
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if tok.VocabSize > m.VocabSize {
		fail("base.tokenizer: %s has %d tokens, the model's vocabulary has %d; use the tokenizer "+
			"that the base model was trained with", tok.Uri, tok.VocabSize, m.VocabSize)
	}
	if tok.EosId < 0 {
		fail("base.tokenizer: %s names no end-of-sequence token, which separates documents; "+
			"set eos_token in its tokenizer_config.json", tok.Uri)
	}
	if s.Data.Bos && tok.BosId < 0 {
		fail("data.bos: %s names no beginning-of-sequence token; write bos: false", tok.Uri)
	}
	if m.MaxPositions > 0 && s.Data.SeqLen > m.MaxPositions {
		fail("data.seq_len: %d is more than the %d positions of the base model; write at most %d",
			s.Data.SeqLen, m.MaxPositions, m.MaxPositions)
	}
	if why := spansFit(s.Train, optim.LengthOf(r)); why != "" {
		fail("train.schedule: %s; shorten warmup or decay", why)
	}
	errs = append(errs, fitEpochs(r)...)
	return append(errs, fitPhases(r)...)
}

// TotalSteps is the length of a run: train.steps, or as many steps as train.tokens need, the last
// one whole.
func TotalSteps(s *pb.RunSpec) uint64 {
	if n := s.GetTrain().GetSteps(); n > 0 {
		return n
	}
	per := TokensPerStep(s)
	if per == 0 {
		return 0
	}
	return (s.GetTrain().GetTokens() + per - 1) / per
}

// TokensPerStep is the number of target tokens of a step, counting masked ones.
func TokensPerStep(s *pb.RunSpec) uint64 {
	return uint64(s.GetTrain().GetGlobalBatch()) * uint64(s.GetData().GetSeqLen())
}

// Digest is the hex sha256 of a resolved run with its digest empty: the name of the curve that
// the run will have.
func Digest(r *pb.ResolvedRun) (string, error) {
	bare := proto.CloneOf(r)
	bare.Digest = ""
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	if err != nil {
		return "", fmt.Errorf("encode resolved run: %w", err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b)), nil
}
