package hf_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/hf"
	"github.com/banyan-train/banyan/checkpoint/safetensors"
	"github.com/banyan-train/banyan/worker/model"
)

// entry is one tensor in the header of a file under attack.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// attacked is a file of weights, taken apart.
type attacked struct {
	header map[string]entry
	data   []byte
}

// attack rewrites the file after spoil has had its way; what it returns replaces the header's text.
func attack(t *testing.T, path string, spoil func(a *attacked) string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(raw)
	a := attacked{header: map[string]entry{}, data: raw[8+n:]}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:8+n], &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "__metadata__")
	for name, m := range members {
		var e entry
		if err := json.Unmarshal(m, &e); err != nil {
			t.Fatal(err)
		}
		a.header[name] = e
	}
	text := spoil(&a)
	if text == "" {
		b, err := json.Marshal(a.header)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	out = append(append(out, text...), a.data...)
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// change edits one tensor's entry.
func (a *attacked) change(name string, edit func(e *entry)) string {
	e := a.header[name]
	edit(&e)
	a.header[name] = e
	return ""
}

// add appends a tensor of n bytes.
func (a *attacked) add(name, dtype string, n int) string {
	at := int64(len(a.data))
	a.data = append(a.data, make([]byte, n)...)
	size := int(safetensors.DType(dtype).Size())
	a.header[name] = entry{dtype, []int{n / size}, [2]int64{at, at + int64(n)}}
	return ""
}

const norm = "model.norm.weight" // [12]

// I13: every way to spoil a file of weights is an error with the file, the tensor and a fix.
func TestI13_HostileWeights(t *testing.T) {
	const damaged = "fetch it again"
	for what, c := range map[string]struct {
		spoil func(a *attacked) string
		want  []string
	}{
		"truncated": {func(a *attacked) string { a.data = a.data[:len(a.data)-1]; return "" },
			[]string{hf.WeightsFile, "tensors end at byte", damaged}},
		"longer": {func(a *attacked) string { a.data = append(a.data, 0); return "" },
			[]string{hf.WeightsFile, "tensors end at byte", damaged}},
		"overlap": {func(a *attacked) string {
			return a.change(norm, func(e *entry) { e.Offsets[0] -= 4; e.Offsets[1] -= 4 })
		}, []string{hf.WeightsFile, "overlap", damaged}},
		"gap": {func(a *attacked) string {
			a.data = append(a.data, 0, 0, 0, 0)
			return a.change("lm_head.weight", func(e *entry) { e.Offsets[0] += 4; e.Offsets[1] += 4 })
		}, []string{hf.WeightsFile, "lm_head.weight", "hole", damaged}},
		"reversed offsets": {func(a *attacked) string {
			return a.change(norm, func(e *entry) { slices.Reverse(e.Offsets[:]) })
		}, []string{hf.WeightsFile, norm, "data_offsets", damaged}},
		"offsets beyond the file": {func(a *attacked) string {
			return a.change(norm, func(e *entry) { e.Offsets[0] += 1 << 61; e.Offsets[1] += 1 << 61 })
		}, []string{hf.WeightsFile, "hole", damaged}},
		"unknown dtype": {func(a *attacked) string {
			return a.change(norm, func(e *entry) { e.DType = "F4" })
		}, []string{hf.WeightsFile, norm, `unknown dtype "F4"`, "dequantized"}},
		"F8": {func(a *attacked) string {
			return a.change(norm, func(e *entry) { e.DType, e.Shape = "F8_E4M3", []int{48} })
		}, []string{hf.WeightsFile, norm, "[48]"}},
		"F64": {func(a *attacked) string {
			n := a.header["lm_head.weight"].Offsets[1] - a.header["lm_head.weight"].Offsets[0]
			a.data = append(a.data, make([]byte, n)...) // it is the last in the file
			return a.change("lm_head.weight", func(e *entry) { e.DType = "F64"; e.Offsets[1] += n })
		}, []string{hf.WeightsFile, "lm_head.weight", "is F64", "want F32, BF16 or F16", "convert"}},
		"integers": {func(a *attacked) string {
			return a.change(norm, func(e *entry) { e.DType = "I32" })
		}, []string{hf.WeightsFile, norm, "is I32", "want F32, BF16 or F16", "convert"}},
		"shape overflow": {func(a *attacked) string {
			return a.change(norm, func(e *entry) { e.Shape = []int{1 << 40, 1 << 40} })
		}, []string{hf.WeightsFile, norm, "too large", damaged}},
		"other shape": {func(a *attacked) string {
			return a.change(norm, func(e *entry) { e.Shape = []int{3, 4} })
		}, []string{hf.WeightsFile, norm, "has shape [3 4]", "config.json says [12]", "correct"}},
		"duplicate": {func(*attacked) string { return `{"a":{},"a":{}}` },
			[]string{hf.WeightsFile, `"a" appears twice`, damaged}},
		"deep": {func(*attacked) string { return `{"a":` + strings.Repeat("[", 1<<20) + "}" },
			[]string{hf.WeightsFile, `"a"`, "depth", damaged}},
		"bias": {func(a *attacked) string {
			return a.add("model.layers.0.self_attn.q_proj.bias", "F32", 96)
		}, []string{hf.WeightsFile, "model.layers.0.self_attn.q_proj.bias", "would be ignored",
			"correct config.json"}},
		"adapter": {func(a *attacked) string { return a.add("q_proj.lora_A.weight", "BF16", 96) },
			[]string{hf.WeightsFile, "lora_A", "would be ignored"}},
		"missing": {func(a *attacked) string {
			e := a.header[norm]
			delete(a.header, norm)
			a.header["else"] = e
			return ""
		}, []string{hf.WeightsFile, norm, "is missing", "fetch"}},
	} {
		dir := write(t, false)
		attack(t, filepath.Join(dir, hf.WeightsFile), c.spoil)
		_, err := hf.Load(ctx, opener(t), dir)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error is %.400v, want one with %q", what, err, want)
			}
		}
	}
}

// What says again what the configuration says may be there, in any type.
func TestHarmlessTensorsAreAccepted(t *testing.T) {
	dir := write(t, false)
	attack(t, filepath.Join(dir, hf.WeightsFile), func(a *attacked) string {
		a.add("model.rotary_emb.inv_freq", "F32", 12)
		return a.add("model.layers.1.self_attn.rotary_emb.inv_freq", "F64", 24)
	})
	load(t, dir)
}

// A NaN or an infinity in the weights is found when they are read, wherever it is.
func TestI13_NonFiniteWeights(t *testing.T) {
	cfg := tiny(false)
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		dir := write(t, false)
		attack(t, filepath.Join(dir, hf.WeightsFile), func(a *attacked) string {
			at := a.header[norm].Offsets[0] + 4*7
			binary.LittleEndian.PutUint32(a.data[at:], math.Float32bits(float32(x)))
			return ""
		})
		f := load(t, dir)
		for _, u := range model.Units(cfg) {
			for _, p := range u.Params {
				err := f.Read(ctx, p.Name, 1, p.Len(), make([]float32, p.Len()-1))
				if p.Name != norm && err != nil {
					t.Error(err)
				} else if p.Name == norm {
					refuse(t, err, norm)
					refuse(t, err, hf.WeightsFile+": element 7 is")
				}
			}
		}
	}
}

// A file cut short while it is mapped ends the read, not the process.
func TestI13_TruncatedAfterLoad(t *testing.T) {
	dir := write(t, false)
	f := load(t, dir)
	var one [12]float32
	if err := f.Read(ctx, norm, 0, 12, one[:]); err != nil { // now it is mapped
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, hf.WeightsFile), 100); err != nil {
		t.Fatal(err)
	}
	err := f.Read(ctx, norm, 0, 12, one[:])
	refuse(t, err, hf.WeightsFile)
	refuse(t, err, hf.ErrChanged.Error())
}

// An index that does not say what its files hold is refused.
func TestI13_HostileIndex(t *testing.T) {
	edit := func(from, to string) func(index string) string {
		return func(index string) string { return strings.Replace(index, from, to, 1) }
	}
	for what, c := range map[string]struct {
		spoil func(index string) string
		want  []string
	}{
		"outside": {edit(`"part-1.safetensors"`, `"../part-1.safetensors"`),
			[]string{"../part-1", "same folder"}},
		"absolute": {edit(`"part-1.safetensors"`, `"/etc/passwd"`),
			[]string{"/etc/passwd", "same folder"}},
		"no name": {edit(`"part-1.safetensors"`, `7`), []string{hf.IndexFile, "same folder"}},
		"no file": {edit(`"part-1.safetensors"`, `"part-7.safetensors"`), []string{"part-7.safetensors"}},
		"unlisted": {edit(`"model.norm.weight":"part-1.safetensors",`, ``),
			[]string{hf.IndexFile, norm, "part-1.safetensors", "fetch"}},
		"elsewhere": {edit(`"model.norm.weight":"part-1.safetensors"`,
			`"model.norm.weight":"part-0.safetensors"`), []string{hf.IndexFile, norm, "part-0", "fetch"}},
		"twice": {edit(`"model.norm.weight":`,
			`"lm_head.weight":"part-1.safetensors","model.norm.weight":`),
			[]string{hf.IndexFile, "lm_head.weight", "twice"}},
		"deep": {func(string) string { return `{"weight_map":` + strings.Repeat("[", 1<<20) },
			[]string{hf.IndexFile, "depth"}},
	} {
		dir := write(t, false)
		shard(t, dir, tiny(false))
		path := filepath.Join(dir, hf.IndexFile)
		index, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, hf.IndexFile, c.spoil(string(index)))
		_, err = hf.Load(ctx, opener(t), dir)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error is %.400v, want one with %q", what, err, want)
			}
		}
	}
}
