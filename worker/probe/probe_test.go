package probe_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
	"github.com/banyan-train/banyan/worker/model"
	"github.com/banyan-train/banyan/worker/probe"
)

var tiny = &pb.ModelConfig{Family: "llama", VocabSize: 61, HiddenSize: 32, IntermediateSize: 48,
	Layers: 2, Heads: 4, KvHeads: 2, HeadDim: 8, RopeTheta: 10000, RmsNormEps: 1e-5,
	MaxPositions: 64, InitializerRange: 0.3, BosId: -1, EosId: -1}

// load is a model with random weights.
func load(t *testing.T, opt probe.Options) *probe.Model {
	t.Helper()
	op, err := router.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []hf.TensorSource
	for _, u := range model.Units(tiny) {
		for _, p := range u.Params {
			tensors = append(tensors, hf.TensorSource{Name: p.Name, Shape: p.Shape,
				Read: func(_ context.Context, dst []float32) error {
					model.InitParam(tiny, p, 3, dst)
					return nil
				}})
		}
	}
	dir := t.TempDir()
	if err := hf.Write(t.Context(), op, dir, tiny, tensors, nil); err != nil {
		t.Fatal(err)
	}
	folder, err := hf.Load(t.Context(), op, dir)
	if err != nil {
		t.Fatal(err)
	}
	be, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(be.Close)
	m, err := probe.Load(t.Context(), folder, be, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// records reads lines whose texts are letters: a is token 0.
func records(lines ...string) *probe.Records {
	return probe.NewRecords(strings.NewReader(strings.Join(lines, "\n")), []string{"text"},
		func(text string) ([]int32, error) {
			var ids []int32
			for _, c := range text {
				if c == '!' {
					return nil, errors.New("no such letter")
				}
				ids = append(ids, c-'a')
			}
			return ids, nil
		})
}

// text is a text of n letters.
func text(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte('a' + byte((i*i+n)%26))
	}
	return b.String()
}

// byHand is the loss by its definition, from logits, one window at a time.
func byHand(t *testing.T, m *probe.Model, texts []string, seqLen int) (sum float64, targets int64) {
	t.Helper()
	for _, s := range texts {
		var ids []int32
		for _, c := range s {
			ids = append(ids, c-'a')
		}
		for lo := 0; lo+1 < len(ids); lo += seqLen {
			w := ids[lo:min(lo+seqLen+1, len(ids))]
			logits, err := m.Logits(w[:len(w)-1])
			if err != nil {
				t.Fatal(err)
			}
			for i, target := range w[1:] {
				row := logits[i*int(tiny.VocabSize) : (i+1)*int(tiny.VocabSize)]
				top, z := float64(slices.Max(row)), 0.0
				for _, x := range row {
					z += math.Exp(float64(x) - top)
				}
				sum += math.Log(z) + top - float64(row[target])
				targets++
			}
		}
	}
	return sum, targets
}

// The loss is what doc.go says, whatever the windows share.
func TestLossByHand(t *testing.T) {
	m := load(t, probe.Options{})
	texts := []string{text(30), text(1), text(2), text(7), text(8), text(9), text(64), text(5)}
	var lines []string
	size := 0
	for _, s := range texts {
		lines = append(lines, `{"text":"`+s+`","lang":"en"}`)
		size += len(s)
	}
	for _, seqLen := range []int{1, 7, 8, 64} {
		got, err := m.Loss(records(lines...), seqLen)
		if err != nil {
			t.Fatal(err)
		}
		sum, targets := byHand(t, m, texts, seqLen)
		want := sum / float64(targets)
		if math.Abs(got.Loss-want) > 1e-5*want || got.Targets != targets ||
			got.Documents != int64(len(texts)) || got.Bytes != int64(size) || got.WindowTokens != seqLen {
			t.Errorf("windows of %d: %+v, want loss %v over %d targets", seqLen, got, want, targets)
		}
		bits := sum / math.Ln2 / float64(size)
		if got.BitsPerByte == nil || math.Abs(*got.BitsPerByte-bits) > 1e-5*bits ||
			math.Abs(got.Perplexity-math.Exp(want)) > 1e-3 {
			t.Errorf("windows of %d: %+v, want %v bits per byte", seqLen, got, bits)
		}
	}
}

// More windows than one pass takes, and ids instead of texts.
func TestLossOfIDs(t *testing.T) {
	m := load(t, probe.Options{})
	var texts, ids []string
	list := "0"
	for i := 1; i < 46; i++ {
		list += fmt.Sprintf(",%d", i%26)
	}
	for range 100 {
		texts = append(texts, `{"text":"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst"}`)
		ids = append(ids, `{"ids":[`+list+`]}`)
	}
	one, err := m.Loss(records(texts[0]), 64)
	if err != nil {
		t.Fatal(err)
	}
	all, err := m.Loss(records(texts...), 64)
	if err != nil {
		t.Fatal(err)
	}
	same, err := m.Loss(records(ids...), 64)
	if err != nil {
		t.Fatal(err)
	}
	if all.Targets != 4500 || math.Abs(all.Loss-one.Loss) > 1e-6*one.Loss {
		t.Errorf("100 times the same document: %+v, once: %+v", all, one)
	}
	if same.Loss != all.Loss || same.BitsPerByte != nil || same.Bytes != 0 {
		t.Errorf("as ids: %+v, as text: %+v", same, all)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	m := load(t, probe.Options{})
	for want, lines := range map[string][]string{
		"no targets in 0 documents":                     nil,
		"no targets in 2 documents":                     {`{"text":"a"}`, "", `{"text":""}`},
		"line 2: is [\"ab\"], want an object":           {`{"text":"ab"}`, `["ab"]`},
		"line 1: not JSON at byte 9;":                   {`{"text":ab}`},
		"line 1: is null, want":                         {`null`},
		`line 1: has neither a field "text" nor "ids"`:  {`{"content":"ab"}`},
		`line 1: field "text" is 3`:                     {`{"text":3}`},
		`line 1: field "text" is null`:                  {`{"text":null}`},
		`line 1: field "ids" is [1,null]`:               {`{"ids":[1,null]}`},
		`line 1: field "ids" is "a"`:                    {`{"ids":"a"}`},
		"document 1: token id 61 (number 2)":            {`{"ids":[1,61]}`},
		"document 2: token id -1 (number 1)":            {`{"ids":[1,2]}`, `{"ids":[-1]}`},
		"line 1: no such letter":                        {`{"text":"a!"}`},
		"line 1: not valid UTF-8":                       {"{\"text\":\"\xff\"}"},
		"line 1: longer than 16777216 bytes; split the": {strings.Repeat(" ", 16<<20+1)},
	} {
		_, err := m.Loss(records(lines...), 8)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		}
	}
	for _, n := range []int{-1, 65} {
		if _, err := m.Loss(records(), n); err == nil || !strings.Contains(err.Error(), "seq_len") {
			t.Errorf("windows of %d: error is %v", n, err)
		}
	}
	for want, ids := range map[string][]int32{"no token ids": nil, "token id 61": {1, 61},
		"token id -1": {-1}, "max_position_embeddings": make([]int32, 65)} {
		if _, err := m.Logits(ids); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ids %v: error is %v, want one with %q", ids, err, want)
		}
	}
}

func TestParsePrecision(t *testing.T) {
	for name, want := range map[string]kernel.DType{"fp32": kernel.F32, "bf16": kernel.BF16} {
		if opt, err := probe.ParsePrecision(name); err != nil || opt.Precision != want {
			t.Errorf("%s is %v (%v)", name, opt, err)
		}
	}
	for _, name := range []string{"", "fp16", "BF16"} {
		if _, err := probe.ParsePrecision(name); err == nil {
			t.Errorf("%q passed", name)
		}
	}
}

// bf16 rounds, so that it gives another number, and a close one.
func TestLossInBF16(t *testing.T) {
	line := `{"text":"` + text(60) + `"}`
	want, err := load(t, probe.Options{}).Loss(records(line), 64)
	if err != nil {
		t.Fatal(err)
	}
	got, err := load(t, probe.Options{Precision: kernel.BF16}).Loss(records(line), 64)
	if err != nil {
		t.Fatal(err)
	}
	if d := math.Abs(got.Loss/want.Loss - 1); d == 0 || d > 0.02 {
		t.Errorf("loss in bf16 is %v, in fp32 %v", got.Loss, want.Loss)
	}
}
