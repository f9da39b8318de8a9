package train

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// grownTokenizer writes the example tokenizer with words of its corpora as tokens of their own.
func grownTokenizer(t *testing.T, words ...string) string {
	t.Helper()
	examples, dir := filepath.Join("..", "..", "examples", "tokenizer"), t.TempDir()
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join(examples, name))
		must(t, err)
		if name == "tokenizer.json" {
			var file map[string]json.RawMessage
			must(t, json.Unmarshal(data, &file))
			var added []map[string]any
			must(t, json.Unmarshal(file["added_tokens"], &added))
			for i, word := range words {
				added = append(added, map[string]any{"id": 4096 + i, "content": word,
					"lstrip": false, "normalized": true, "rstrip": false, "single_word": false,
					"special": false})
			}
			file["added_tokens"], err = json.Marshal(added)
			must(t, err)
			data, err = json.Marshal(file)
			must(t, err)
		}
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

// extended is the fixture's run with a grown vocabulary.
func (f *fixture) extended(t *testing.T, init pb.VocabInit, words ...string) *fixture {
	t.Helper()
	r := proto.CloneOf(f.resolved)
	examples, err := filepath.Abs("../../examples/tokenizer")
	must(t, err)
	e := &pb.ExtendVocab{Tokenizer: grownTokenizer(t, words...), Init: init, InitOutput: init,
		PadTo: 64}
	r.Spec.Base.Tokenizer, r.Spec.Base.ExtendVocab = examples, e
	_, r.Tokenizer, err = tokenize.LoadGrown(t.Context(), f.opener, examples, e.Tokenizer)
	must(t, err)
	r.Model.VocabSize = uint32(hf.PaddedRows(int(r.Tokenizer.VocabSize), int(e.PadTo)))
	r.Spec.Checkpoint.To = filepath.Join(t.TempDir(), "ckpt")
	return &fixture{f.opener, r}
}

// A run that grows its vocabulary is the same bits for every world, and starts from rows that say
// what their text said before: the first loss is near that of the base.
func TestI3_GrownVocabulary(t *testing.T) {
	s := small
	s.steps, s.every, s.tied = 3, 3, false
	base := newFixture(t, s)
	f := base.extended(t, pb.VocabInit_MEAN_SUBTOKENS, "多少", "一共", "个", " how many")
	if f.resolved.Tokenizer.VocabSize != 4100 || f.resolved.Model.VocabSize != 4160 {
		t.Fatalf("%d tokens, %d rows", f.resolved.Tokenizer.VocabSize, f.resolved.Model.VocabSize)
	}
	control := &generation{f: f, number: 1, world: 1, threads: 2}
	control.run(t)
	for _, world := range []int{2, 5} {
		g := &generation{number: 1, world: world, threads: 1, f: f.with(t, func(train *pb.Train) {
			train.Sharding = []pb.Sharding{pb.Sharding_ZERO1, pb.Sharding_ZERO3}[world%2]
		})}
		g.run(t)
		sameCurve(t, fmt.Sprintf("world %d", world), control.records, g.records)
		if g.digest(t) != control.digest(t) {
			t.Errorf("world %d: other weights", world)
		}
	}
	random := &generation{f: base.extended(t, pb.VocabInit_RANDOM, "多少", "一共"), number: 1, world: 1,
		threads: 2}
	random.run(t)
	if random.digest(t) == control.digest(t) {
		t.Error("another growth made the same weights")
	}
}
