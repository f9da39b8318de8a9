package spec

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"go.yaml.in/yaml/v4"
)

var (
	nameForm = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	langForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
)

// required are the fields that have no default, with an example of each.
var required = []struct{ path, example string }{
	{"apiVersion", "apiVersion: " + APIVersion},
	{"name", "name: zh-branch"},
	{"base.model", "base: {model: s3://models/my-base}"},
	{"data.sources", "data: {sources: [{name: zh, uri: ..., lang: zh, weight: 1}]}"},
	{"train.global_batch", "train: {global_batch: 64}"},
	{"train.micro_batch", "train: {micro_batch: 4}"},
	{"checkpoint.to", "checkpoint: {to: s3://ckpt/my-run}"},
}

// check looks at values and at how they fit together, and fills the defaults in between.
func (p *parser) check(s *pb.RunSpec) {
	for _, r := range required {
		if p.nodes[r.path] == nil {
			p.missing(r.path, r.example)
		}
	}
	if n := p.nodes["apiVersion"]; n != nil && n.Value != APIVersion {
		p.fail(n, "apiVersion", "write "+APIVersion, "found %s", describe(n))
	}
	if p.ok("name") && !nameForm.MatchString(s.Name) {
		p.failAt("name", "use a-z, 0-9 and -, 1 to 40 of them", "%q is no name", short(s.Name))
	}
	sections(s)
	p.checkStores(s.Stores)
	p.checkInputs(s)
	p.defaults(s)
	p.checkExtension(s.Base.ExtendVocab)
	p.checkData(s.Data)
	p.checkMixture(s)
	p.checkBatch(s)
	p.checkOptimizer(s.Train)
	p.checkSchedule(s)
	p.checkPhases(s)
	p.checkSpike(s)
	p.checkEval(s)
	p.positive("checkpoint.every", float64(s.Checkpoint.Every))
	p.positive("checkpoint.keep", float64(s.Checkpoint.Keep))
	p.checkResources(s.Resources)
}

func (p *parser) missing(path, example string) {
	if p.bad[path] || p.root.Kind != yaml.MappingNode {
		return
	}
	for parent := path; ; {
		cut := strings.LastIndex(parent, ".")
		if cut < 0 {
			break
		}
		if parent = parent[:cut]; p.bad[parent] {
			return // the parent is wrong as a whole; that was said
		}
	}
	p.failAt(path, "add "+example, "missing")
}

func (p *parser) checkExtension(e *pb.ExtendVocab) {
	const at, most = "base.extend_vocab", 1 << 16
	if e == nil {
		return
	}
	p.demand(at, "tokenizer: s3://tokenizers/chinese")
	if p.ok(at+".pad_to") && (e.PadTo < 1 || e.PadTo > most) {
		p.failAt(at+".pad_to", "write 128, or 1 for no padding", "%d is not within 1..%d", e.PadTo,
			most)
	}
}

func (p *parser) checkData(d *pb.Data) {
	const maxSeqLen = 1 << 17
	if p.ok("data.seq_len") && (d.SeqLen < 2 || d.SeqLen > maxSeqLen) {
		p.failAt("data.seq_len", "write a length such as 2048", "%d is not within 2..%d",
			d.SeqLen, maxSeqLen)
	}
	if p.ok("data.max_record") && (d.MaxRecord < 1<<10 || d.MaxRecord > 1<<30) {
		p.failAt("data.max_record", "write a size such as 16MiB", "%d bytes are not within 1KiB..1GiB",
			d.MaxRecord)
	}
	if p.ok("data.packing") && d.Packing == pb.Packing_BEST_FIT && !d.DocMask {
		p.failAt("data.packing", "write doc_mask: true, or packing: concat",
			"best_fit packs documents that must not see one another, but doc_mask is false")
	}
	if p.ok("data.sources") && len(d.Sources) == 0 {
		p.failAt("data.sources", "add "+required[3].example, "the list is empty")
	}
	names := map[string]string{}
	for i, src := range d.Sources {
		at := fmt.Sprintf("data.sources[%d]", i)
		if p.bad[at] {
			continue
		}
		p.checkSource(at, src)
		if len(d.Schedule)+len(d.Edits) == 0 {
			p.positive(at+".weight", src.Weight)
		}
		if first := names[src.Name]; first != "" {
			p.failAt(at+".name", "give each source its own name", "%s is named %q too", first, src.Name)
		} else if src.Name != "" {
			names[src.Name] = at
		}
	}
}

func (p *parser) checkSource(at string, src *pb.Source) {
	p.demand(at, "name: wiki-zh", "uri: s3://corpora/zh/*.jsonl", "lang: zh", "weight: 0.5")
	p.checkLabels(at, src.Name, src.Lang)
	p.atLeast(at+".weight", src.Weight, 0)
	p.atLeast(at+".max_epochs", src.MaxEpochs, 0)
	p.checkTextField(at, src.TextField)
	p.checkReading(at, src)
}

// reading is what sources and held-out sets say about how their texts are read.
type reading interface {
	GetUri() string
	GetFormat() pb.Format
	GetDocument() pb.Document
	GetNormalize() []string
}

func (p *parser) checkReading(at string, r reading) {
	for i, step := range r.GetNormalize() {
		if !slices.Contains(dataset.Normalizations(), step) {
			p.failAt(fmt.Sprintf("%s.normalize[%d]", at, i), "write some of "+
				strings.Join(dataset.Normalizations(), ", "), "there is no step %q", short(step))
		}
	}
	if !p.ok(at+".uri") || p.bad[at+".format"] {
		return
	}
	format, _, err := dataset.Kind(r.GetUri(), r.GetFormat())
	switch {
	case err != nil:
		p.failAt(at+".format", "unpack the file", "a compressed file of parquet is not read")
	case r.GetDocument() != pb.Document_DOCUMENT_UNSPECIFIED && format != pb.Format_TXT &&
		(r.GetFormat() != pb.Format_FORMAT_UNSPECIFIED || !strings.HasSuffix(r.GetUri(), "*")):
		p.failAt(at+".document", "remove it, or write format: txt",
			"says what a document of a text file is, but this is %s", word(format))
	}
}

// demand reports the fields of a list's element that are missing, each named by an example.
func (p *parser) demand(at string, examples ...string) {
	for _, example := range examples {
		key, _, _ := strings.Cut(example, ":")
		if path := at + "." + key; p.nodes[path] == nil {
			p.missing(path, example)
		}
	}
}

func (p *parser) checkLabels(at, name, lang string) {
	if p.ok(at+".name") && !nameForm.MatchString(name) {
		p.failAt(at+".name", "use a-z, 0-9 and -, 1 to 40 of them", "%q is no name", short(name))
	}
	if p.ok(at+".lang") && !langForm.MatchString(lang) {
		p.failAt(at+".lang", "write a code such as zh, en or pt-BR", "%q is no language code",
			short(lang))
	}
}

func (p *parser) checkTextField(at, field string) {
	if p.ok(at+".text_field") && field == "" {
		p.failAt(at+".text_field",
			"write the field that holds the text, such as text or meta.body.text", "is empty")
	}
}

// checkBatch checks how the run is cut up: batch, micro-batches, logical shards, workers.
func (p *parser) checkBatch(s *pb.RunSpec) {
	t := s.Train
	p.checkLength(s)
	p.positive("train.global_batch", float64(t.GlobalBatch))
	p.positive("train.micro_batch", float64(t.MicroBatch))
	const maxBatch = 1 << 20
	if p.ok("train.global_batch") && t.GlobalBatch > maxBatch {
		p.failAt("train.global_batch", "it counts sequences, not tokens", "%d is more than %d",
			t.GlobalBatch, maxBatch)
	}
	if !p.ok("train.global_batch") || !p.ok("train.micro_batch") {
		return
	}
	if t.GlobalBatch%t.MicroBatch != 0 {
		p.failAt("train.micro_batch", fmt.Sprintf("write a divisor of %d, such as %d", t.GlobalBatch,
			divisorBelow(t.GlobalBatch, t.MicroBatch)),
			"%d does not divide the global batch of %d", t.MicroBatch, t.GlobalBatch)
		return
	}
	micro := t.GlobalBatch / t.MicroBatch
	if t.LogicalShards > micro {
		p.failAt("train.logical_shards", fmt.Sprintf("write %d or less", micro),
			"%d shards for %d micro-batches a step (global_batch / micro_batch)", t.LogicalShards, micro)
		return
	}
	if w := s.Resources.Workers; p.ok("resources.workers") && w.Max > t.LogicalShards {
		fix := fmt.Sprintf("set train.logical_shards to %d", w.Max)
		if w.Max > micro {
			fix = fmt.Sprintf("write at most %d, or raise train.global_batch to %d", t.LogicalShards,
				w.Max*t.MicroBatch)
		}
		p.failAt("resources.workers", fix, "%d workers are more than the %d logical shards of the run",
			w.Max, t.LogicalShards)
	}
}

// checkLength checks train.tokens and train.steps: exactly one.
func (p *parser) checkLength(s *pb.RunSpec) {
	tokens, steps := p.nodes["train.tokens"] != nil, p.nodes["train.steps"] != nil
	switch {
	case tokens && steps:
		p.failAt("train.steps", "remove one of the two", "the run has both tokens and steps")
	case !tokens && !steps && !p.bad["train.steps"]:
		p.missing("train.tokens", "train: {tokens: 10B} or {steps: 1000}")
	}
	p.positive("train.tokens", float64(s.Train.Tokens))
	p.positive("train.steps", float64(s.Train.Steps))
	for path, n := range map[string]uint64{
		"train.tokens": s.Train.Tokens, "train.steps": s.Train.Steps} {
		if p.ok(path) && n > maxLength {
			p.failAt(path, "write less", "%d is more than the limit of %d", n, uint64(maxLength))
		}
	}
}

func divisorBelow(n, d uint32) uint32 {
	for d = min(d, n); d > 1; d-- {
		if n%d == 0 {
			return d
		}
	}
	return 1
}

// positive demands a number above 0.
func (p *parser) positive(path string, v float64) {
	if p.ok(path) && !(v > 0) {
		p.failAt(path, "write a number above 0", "%v is not above 0", v)
	}
	p.atLeast(path, v, math.Inf(-1))
}

// atLeast demands a finite number not below a bound.
func (p *parser) atLeast(path string, v, low float64) {
	if p.ok(path) && (math.IsNaN(v) || math.IsInf(v, 0) || v < low) {
		p.failAt(path, fmt.Sprintf("write a number from %v up", low), "%v is not valid here", v)
	}
}
