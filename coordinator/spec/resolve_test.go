package spec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/model"
	"google.golang.org/protobuf/proto"
)

func tinyModel() *pb.ModelConfig {
	return &pb.ModelConfig{
		Family: "llama", VocabSize: 512, HiddenSize: 64, IntermediateSize: 160, Layers: 2, Heads: 4,
		KvHeads: 2, HeadDim: 16, RopeTheta: 10000, RmsNormEps: 1e-5, TiedEmbeddings: true,
		MaxPositions: 4096, InitializerRange: 0.02, BosId: -1, EosId: 1,
	}
}

// fakes pin made-up inputs, the same each time.
func fakes() *readers {
	return &readers{
		model: func(_ context.Context, uri string) (*pb.ModelConfig, []*pb.PinnedFile, error) {
			return tinyModel(), []*pb.PinnedFile{{Uri: uri + "/config.json", Size: 2, Etag: "e"}}, nil
		},
		target: func(context.Context, string) error { return nil },
		sets:   fakeSets,
		weigh:  fakeWeigh,
		probe:  func(context.Context, *pb.ResolvedRun) error { return nil },
		tokenizer: func(_ context.Context, b *pb.Base) (*pb.TokenizerPin, error) {
			pin := &pb.TokenizerPin{Uri: b.Tokenizer, Sha256: "aa", VocabSize: 500, EosId: 1, BosId: 2}
			if e := b.ExtendVocab; e != nil {
				pin = &pb.TokenizerPin{Uri: e.Tokenizer, Sha256: "cc", VocabSize: 700, EosId: 1,
					BosId: 2, Base: pin}
			}
			return pin, nil
		},
		corpus: func(_ context.Context, d *pb.Data, _ uint32) (*pb.Corpus, error) {
			c := &pb.Corpus{}
			for i, s := range d.Sources {
				c.Sources = append(c.Sources, &pb.SourceManifest{
					Name: s.Name, Lang: s.Lang, WeightQ32: (1 << 32) / uint64(len(d.Sources)),
					BlockBytes: 8 << 20, Blocks: 1000 * uint64(i+1),
					Files: []*pb.PinnedFile{{Uri: s.Uri, Size: 8e9 * uint64(i+1), Etag: "e"}},
				})
			}
			return c, nil
		},
	}
}

// fakeWeigh samples as if a source had more tokens a byte than the one before it.
func fakeWeigh(_ context.Context, r *pb.ResolvedRun) error {
	for i, m := range r.Corpus.Sources {
		if dataset.NeedsSample(r.Spec.Data, i) {
			n := uint64(i + 1)
			m.Sample = &pb.Sample{Documents: 1000, Bytes: 4e6, Tokens: 1e6 * n, SourceTokens: 2e9 * n}
		}
	}
	return dataset.Weigh(r.Corpus, r.Spec.Data, r.Spec.Train.GlobalBatch)
}

func fakeSets(_ context.Context, e *pb.Eval) (list []*pb.SourceManifest, err error) {
	for _, set := range e.GetSets() {
		list = append(list, &pb.SourceManifest{Name: set.Name, Lang: set.Lang, BlockBytes: 8 << 20,
			Blocks: 1, Files: []*pb.PinnedFile{{Uri: set.Uri, Size: 5e6, Etag: "e"}}})
	}
	return list, nil
}

// TestResolve: counts, digest, and that the digest moves with every pinned thing.
func TestResolve(t *testing.T) {
	ctx := context.Background()
	spec := parseGood(t, "full.yaml")
	r, err := Resolve(ctx, Inputs{Spec: spec, readers: fakes()})
	if err != nil {
		t.Fatal(err)
	}
	if want := uint64((1500000000 + 96*1024 - 1) / (96 * 1024)); r.TotalSteps != want {
		t.Errorf("%d steps, want %d", r.TotalSteps, want)
	}
	if r.Parameters != model.ParameterCount(tinyModel()) || !proto.Equal(r.Spec, spec) {
		t.Errorf("resolved to %v", r)
	}
	again, err := Resolve(ctx, Inputs{Spec: spec, readers: fakes()})
	if err != nil || again.Digest != r.Digest || len(r.Digest) != 64 {
		t.Errorf("digests %q and %q (%v)", r.Digest, again.GetDigest(), err)
	}
	for name, change := range map[string]func(*pb.ResolvedRun){
		"corpus":    func(r *pb.ResolvedRun) { r.Corpus.Sources[0].Files[0].Etag = "f" },
		"tokenizer": func(r *pb.ResolvedRun) { r.Tokenizer.Sha256 = "bb" },
		"base":      func(r *pb.ResolvedRun) { r.BaseFiles[0].Size++ },
		"seed":      func(r *pb.ResolvedRun) { r.Spec.Train.Seed++ },
		"held-out":  func(r *pb.ResolvedRun) { r.EvalSets[0].Files[0].Etag = "f" },
	} {
		c := proto.CloneOf(r)
		change(c)
		if d, err := Digest(c); err != nil || d == r.Digest {
			t.Errorf("another %s has the same digest (%v)", name, err)
		}
	}
}

// TestResolveRefuses: inputs that do not fit together are named, with the field and the fix.
func TestResolveRefuses(t *testing.T) {
	ctx := context.Background()
	cases := []struct {
		name   string
		set    []string
		change func(*readers)
		want   []string
	}{
		{"vocabulary", nil, func(r *readers) { r.tokenizer = pin(600, 1, 2) },
			[]string{"base.tokenizer: ", "600 tokens", "512"}},
		{"no eos", nil, func(r *readers) { r.tokenizer = pin(500, -1, 2) },
			[]string{"base.tokenizer: ", "end-of-sequence"}},
		{"no bos", nil, func(r *readers) { r.tokenizer = pin(500, 1, -1) },
			[]string{"data.bos: ", "write bos: false"}},
		{"too long", []string{"data.seq_len=8192", "train.phases=[]"}, func(*readers) {},
			[]string{"data.seq_len: 8192", "at most 4096"}},
		{"schedule", []string{"train.schedule.warmup=20K"}, func(*readers) {},
			[]string{"train.schedule: ", "22000 steps"}},
		{"phases", []string{"train.phases=[{until: 9000, train: [all]}, {until: 10%, train: [norms]}]"},
			func(*readers) {}, []string{"train.phases[1].until: ", "step 1526", "step 9000"}},
		{"tied head", []string{"train.phases=[{until: 9000, train: [norms, head]}]"},
			func(*readers) {}, []string{"train.phases[0].train[1]: ", "write embeddings"}},
		{"no such tensor", []string{"train.phases=[{until: 9, train: ['model.layers.2.*']}]"},
			func(*readers) {}, []string{"train.phases[0].train[0]: ", "takes in no tensor"}},
		{"held-out", nil, func(r *readers) {
			r.sets = func(context.Context, *pb.Eval) ([]*pb.SourceManifest, error) {
				return nil, errors.New("no such file")
			}
		}, []string{"eval.sets: no such file"}},
		{"epochs", []string{"data.sources[0].max_epochs=0.3"}, func(*readers) {},
			[]string{"data.sources[0].max_epochs: ", "0.38 times", "lower its weight"}},
		{"no place for checkpoints", nil, func(r *readers) {
			r.target = func(_ context.Context, uri string) error {
				return errors.New(uri + ": no such bucket")
			}
		}, []string{"checkpoint.to: ", "no such bucket"}},
		{"all at once", nil, func(r *readers) {
			r.corpus = func(context.Context, *pb.Data, uint32) (*pb.Corpus, error) {
				return nil, errors.New("no such bucket")
			}
			r.model = func(context.Context, string) (*pb.ModelConfig, []*pb.PinnedFile, error) {
				return nil, nil, errors.New("config.json: not found")
			}
		}, []string{"data.sources: no such bucket", "base.model: config.json: not found"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			from := fakes()
			c.change(from)
			r, err := Resolve(ctx, Inputs{Spec: parseGood(t, "full.yaml", c.set...), readers: from})
			if err == nil || r != nil {
				t.Fatalf("resolved to %v", r)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func pin(vocab uint32, eos, bos int32) func(context.Context, *pb.Base) (*pb.TokenizerPin, error) {
	return func(_ context.Context, b *pb.Base) (*pb.TokenizerPin, error) {
		return &pb.TokenizerPin{Uri: b.Tokenizer, VocabSize: vocab, EosId: eos, BosId: bos}, nil
	}
}

// TestResolveLocalFiles goes the whole way over real files: a model folder, a tokenizer, a corpus;
// then a missing bucket's like, a folder that is no model.
func TestResolveLocalFiles(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	writeModel(t, op, filepath.Join(dir, "base"))
	line := `{"text":"` + strings.Repeat("a line of text ", 50) + `"}` + "\n"
	write(t, filepath.Join(dir, "en-1.jsonl"), strings.Repeat(line, 400))
	write(t, filepath.Join(dir, "zh.jsonl"), strings.Repeat(line, 400))
	yaml := `apiVersion: banyan/v1
name: local
base: {model: base}
data:
  seq_len: 64
  sources:
    - {name: en, uri: "en-*.jsonl", lang: en, weight: 3}
    - {name: zh, uri: zh.jsonl, lang: zh, weight: 1, max_epochs: 1}
train: {steps: 10, global_batch: 8, micro_batch: 2}
checkpoint: {to: out}
eval:
  sets:
    - {name: held, uri: "held-*.jsonl", lang: en}
`
	write(t, filepath.Join(dir, "held-1.jsonl"), line)
	s, err := Parse(filepath.Join(dir, "run.yaml"), []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Resolve(ctx, Inputs{Spec: s, Opener: op})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.BaseFiles) == 0 || len(r.Corpus.Sources) != 2 || r.Tokenizer.VocabSize == 0 ||
		r.Corpus.Sources[0].WeightQ32 != 3<<30 || r.Model.HiddenSize != 64 ||
		len(r.EvalSets) != 1 || len(r.EvalSets[0].Files) != 1 {
		t.Errorf("resolved to %v", r)
	}
	if zh := r.Corpus.Sources[1].Sample; zh.GetDocuments() != 400 || zh.GetBytes() != 400*750 ||
		zh.GetSourceTokens() != zh.GetTokens() || r.Corpus.Sources[0].Sample != nil {
		t.Errorf("sampled %v", r.Corpus)
	}
	write(t, filepath.Join(dir, "held-1.jsonl"), `{"body":"nothing to read"}`+"\n")
	if _, err := Resolve(ctx, Inputs{Spec: s, Opener: op}); err == nil ||
		!strings.Contains(err.Error(), `eval.sets: held-out set "held"`) ||
		!strings.Contains(err.Error(), "text_field") {
		t.Errorf("a held-out set without text: %v", err)
	}
	write(t, filepath.Join(dir, "held-1.jsonl"), line)
	write(t, filepath.Join(dir, "en-1.jsonl"), "\ufeff"+strings.Repeat(line, 400))
	if _, err := Resolve(ctx, Inputs{Spec: s, Opener: op}); err == nil ||
		!strings.Contains(err.Error(), `data.sources: read source "en"`) ||
		!strings.Contains(err.Error(), "byte order mark") {
		t.Errorf("a source whose first record is broken: %v", err)
	}
	if _, err := Resolve(ctx, Inputs{Spec: s, Opener: op, Unread: true}); err != nil {
		t.Errorf("to look for what is broken: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "base", "config.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := Resolve(ctx, Inputs{Spec: s, Opener: op}); err == nil ||
		!strings.Contains(err.Error(), "base.model: ") || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("a folder without config.json: %v", err)
	}
}

// writeModel writes a random model with a byte-level tokenizer of the test data of tokenize.
func writeModel(t *testing.T, op *router.Router, dir string) {
	t.Helper()
	cfg := tinyModel()
	var tensors []hf.TensorSource
	for _, u := range model.Units(cfg) {
		for _, p := range u.Params {
			tensors = append(tensors, hf.TensorSource{Name: p.Name, Shape: p.Shape,
				Read: func(_ context.Context, dst []float32) error {
					model.InitParam(cfg, p, 1, dst)
					return nil
				}})
		}
	}
	if err := hf.Write(context.Background(), op, "file://"+dir, cfg, tensors, nil); err != nil {
		t.Fatal(err)
	}
	tokenizer, err := os.ReadFile("../../dataset/tokenize/testdata/gpt2.json")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "tokenizer.json"), string(tokenizer))
	write(t, filepath.Join(dir, "tokenizer_config.json"), `{"eos_token": "<|endoftext|>"}`)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRenderPlan compares `banyan plan` of two runs with their goldens.
func TestRenderPlan(t *testing.T) {
	for name, set := range map[string][]string{
		"plan-zero2": nil,
		"plan-zero3": {"train.sharding=zero3", "train.numerics=reproducible",
			"resources.workers=3", "train.global_batch=64",
			"train.logical_shards=8", "train.schedule={kind: cosine}"},
		"plan-zero1": {"train.sharding=zero1", "train.precision=fp32", "train.phases=[]",
			"resources.workers=2", "eval.guard.action=stop", "eval.guard.patience=1",
			"train.recompute=none"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Resolve(context.Background(),
				Inputs{Spec: parseGood(t, "full.yaml", set...), readers: fakes()})
			if err != nil {
				t.Fatal(err)
			}
			r.Digest = "DIGEST" // it moves with every field added to the schema
			var b strings.Builder
			RenderPlan(&b, r)
			golden(t, filepath.Join("testdata", name+".txt"), b.String())
		})
	}
	r, err := Resolve(context.Background(),
		Inputs{Spec: parseGood(t, "mixture.yaml"), readers: fakes()})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	renderMixture(&b, r)
	golden(t, filepath.Join("testdata", "mixture.txt"), b.String())
	b.Reset()
	RenderPlan(&b, &pb.ResolvedRun{Model: tinyModel()}) // incomplete, must not panic
}

// A grown vocabulary is the run's: tokenizer, rows, parameters.
func TestResolveGrownVocabulary(t *testing.T) {
	spec := parseGood(t, "full.yaml")
	spec.Base.ExtendVocab = &pb.ExtendVocab{Tokenizer: "file:///grown", PadTo: 128,
		Init: pb.VocabInit_GAUSSIAN, InitOutput: pb.VocabInit_MEAN_ALL}
	r, err := Resolve(context.Background(), Inputs{Spec: spec, readers: fakes()})
	if err != nil {
		t.Fatal(err)
	}
	want := tinyModel()
	want.VocabSize = 768
	if !proto.Equal(r.Model, want) || r.Parameters != model.ParameterCount(want) ||
		r.Tokenizer.VocabSize != 700 || r.Tokenizer.Base.VocabSize != 500 {
		t.Errorf("resolved to %v", r)
	}
	var plan strings.Builder
	RenderPlan(&plan, r)
	for _, part := range []string{"500 tokens; 200 new", "rows from gaussian (head mean_all)",
		"padded to 128"} {
		if !strings.Contains(plan.String(), part) {
			t.Errorf("the plan lacks %q:\n%s", part, plan.String())
		}
	}
}
