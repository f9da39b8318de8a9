package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

func parseGood(t testing.TB, name string, set ...string) *pb.RunSpec {
	t.Helper()
	file := filepath.Join("testdata", "good", name)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := Parse(file, data, set...)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestGoodYAML parses testdata/good/*.yaml; the golden shows every value, defaults included.
func TestGoodYAML(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"minimal.yaml", "full.yaml", "mixture.yaml"} {
		t.Run(name, func(t *testing.T) {
			spec := parseGood(t, name)
			text, err := Format(spec)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse("/again.yaml", text)
			if err != nil {
				t.Fatalf("the formatted spec does not parse: %v\n%s", err, text)
			}
			if !proto.Equal(spec, again) {
				t.Errorf("Format loses something:\n%v\n%v", spec, again)
			}
			got := strings.ReplaceAll(string(text), here, "HERE")
			golden(t, filepath.Join("testdata", "good", name+".golden"), got)
		})
	}
}

// TestOverrides: --set reaches fields, elements by index and by name, whole mappings, and what the
// file does not have yet.
func TestOverrides(t *testing.T) {
	spec := parseGood(t, "minimal.yaml", "train.steps=80", "resources.workers=1..3",
		"data.sources[0].weight=2", "data.sources.en.text_field=body",
		"train.optimizer={lr: 1e-5, clip: 0}", "checkpoint.every=7", "name=other",
		"train.optimizer.eps=1e-6")
	o := spec.Train.Optimizer
	if spec.Train.Steps != 80 || spec.Resources.Workers.Min != 1 || spec.Resources.Workers.Max != 3 ||
		spec.Data.Sources[0].Weight != 2 || spec.Data.Sources[0].TextField != "body" ||
		o.Lr != 1e-5 || o.Clip != 0 || o.Eps != 1e-6 || o.WeightDecay != 0.1 ||
		spec.Checkpoint.Every != 7 || spec.Name != "other" {
		t.Errorf("overridden spec: %v", spec)
	}
	if spec.Train.Schedule.MinLr != 1e-6 {
		t.Errorf("min_lr %v does not follow the overridden lr", spec.Train.Schedule.MinLr)
	}
}

// TestOverrideErrorsSayTheirPathOnce: what --set was given places the error; the path of the field
// adds only what that leaves open.
func TestOverrideErrorsSayTheirPathOnce(t *testing.T) {
	file := filepath.Join("testdata", "good", "minimal.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{
		"train.steps=abc":              `--set train.steps: found the text "abc"`,
		"data.sources.en.weight=x":     `--set data.sources.en.weight: found the text "x"`,
		"data.sources[0].weight=x":     `--set data.sources[0].weight: found the text "x"`,
		"data.sources.0.weights=1":     "--set data.sources.0.weights: unknown field; did you mean",
		"train.optimizer={lrr: 1}":     "--set train.optimizer: lrr: unknown field; did you mean",
		"data.sources=[{lang: [1]}]":   "--set data.sources: [0].lang: found a list",
		"train.steps={":                "--set train.steps: the value is not valid YAML",
		"nothing.at.all=1":             "--set nothing.at.all: nothing: unknown field",
		"data.sources.z.lang=1":        `--set data.sources.z.lang: the list has no element "z", it has`,
		"name.x=1":                     `--set name.x: "x" is looked for in`,
		"resources.workers=1..0":       "--set resources.workers: ",
		"train.micro_batch=1000000000": "--set train.micro_batch: ",
	} {
		_, err := Parse(file, data, set)
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("--set %s: %v, want %s", set, err, want)
			continue
		}
		path, _, _ := strings.Cut(set, "=")
		for line := range strings.Lines(err.Error()) {
			if strings.Count(line, path) > 1 {
				t.Errorf("--set %s: the path stands twice in %s", set, line)
			}
		}
	}
}

// TestEdit changes what it names and nothing else, defaults that were filled before included.
func TestEdit(t *testing.T) {
	was := parseGood(t, "full.yaml")
	now, err := Edit(was, "train.tokens=3B", "train.optimizer.lr=1e-3")
	if err != nil {
		t.Fatal(err)
	}
	want := proto.CloneOf(was)
	want.Train.Tokens, want.Train.Optimizer.Lr = 3e9, 1e-3
	if !proto.Equal(now, want) {
		t.Errorf("edited to\n%v\nwant\n%v", now, want)
	}
	if _, err := Edit(was, "train.steps=5"); err == nil ||
		!strings.Contains(err.Error(), "both tokens and steps") {
		t.Errorf("steps on top of tokens: %v", err)
	}
	for _, set := range []string{"checkpoint.to=./ck", "data.sources.0.uri=zh.jsonl"} {
		if _, err := Edit(was, set); err == nil || !strings.Contains(err.Error(), "is relative") {
			t.Errorf("--set %s without a YAML file: %v", set, err)
		}
	}
	if err := Validate(&pb.RunSpec{Name: "x"}); err == nil ||
		!strings.Contains(err.Error(), "base.model: missing") {
		t.Errorf("an empty spec from the network: %v", err)
	}
	if err := Validate(nil); err == nil {
		t.Error("no spec at all is valid")
	}
}

// TestNumbers: what a person may write for a number, and what it stands for.
func TestNumbers(t *testing.T) {
	counts := map[string]uint64{"0": 0, "7": 7, "10_000": 10000, "512K": 512000, "1.5M": 1500000,
		"10B": 1e10, "2T": 2e12, "2e9": 2e9, "1.25e3": 1250, "18446744073709551615": 1<<64 - 1}
	for text, want := range counts {
		if got, err := parseCount(text); err != nil || got != want {
			t.Errorf("count %q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "1.23K4", "K", "1KK", "0x10", "012", "1e20", "1e",
		"1e-3", "1e999999999", "1.0005K", "18446744073709551616", "1.", ".5", "1/3", "１"} {
		if got, err := parseCount(text); err == nil {
			t.Errorf("count %q is %d, want an error", text, got)
		}
	}
	sizes := map[string]uint64{"4096": 4096, "512KiB": 512 << 10, "16 MiB": 16 << 20, "1GiB": 1 << 30}
	for text, want := range sizes {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("size %q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"16M", "16MB", "1.5MiB", "-1KiB", "KiB", "99999999999GiB"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("size %q is %d, want an error", text, got)
		}
	}
	percents := map[string]float64{"5": 0.05, "0": 0, "100": 1, "0.1": 0.001, "29": 0.29, "1e-3": 1e-5}
	for text, want := range percents {
		if got, err := parsePercent(text); err != nil || got != want {
			t.Errorf("%s%% is %v, %v; want exactly %v", text, got, err, want)
		}
	}
}

// TestFormatIsLossless: a spec of any valid values comes back from its YAML bit for bit.
func TestFormatIsLossless(t *testing.T) {
	base := parseGood(t, "full.yaml")
	rapid.Check(t, func(t *rapid.T) {
		s := proto.CloneOf(base)
		share := rapid.Float64Range(0, 0.5)
		s.Data.Sources[0].Weight = rapid.Float64Range(1e-300, 1e300).Draw(t, "weight")
		s.Data.Sources[0].TextField = rapid.StringMatching(`[ -~\p{Han}]{1,9}`).Draw(t, "field")
		s.Data.Sources[0].Uri = "s3://b/" + rapid.StringMatching(`[a-z #:'"]{150,200}x`).Draw(t, "uri")
		s.Data.Sources[0].Format = rapid.SampledFrom([]pb.Format{0, pb.Format_TXT}).Draw(t, "format")
		if s.Data.Sources[0].Format == pb.Format_TXT {
			s.Data.Sources[0].Document = pb.Document(rapid.IntRange(0, 3).Draw(t, "document"))
		}
		s.Data.Sources[0].Normalize = rapid.SliceOf(rapid.SampledFrom([]string{"nfc", "lf"})).
			Draw(t, "normalize")
		s.Data.Sources[0].InvalidUtf8 = pb.InvalidUtf8(rapid.IntRange(0, 2).Draw(t, "invalid"))
		s.Data.MaxRecord = rapid.Uint64Range(1<<10, 1<<30).Draw(t, "max")
		s.Data.Bos = rapid.Bool().Draw(t, "bos")
		s.Data.DocMask = rapid.Bool().Draw(t, "mask")
		s.Train.Tokens = rapid.Uint64Range(1e12, 1<<50).Draw(t, "tokens")
		s.Train.Seed = rapid.Uint64Range(0, 1<<63-1).Draw(t, "seed")
		s.Train.Schedule.Warmup = &pb.Span{Share: share.Draw(t, "warmup")}
		s.Train.Schedule.Decay = &pb.Span{Share: share.Draw(t, "decay")}
		s.Train.Phases[1].Until = &pb.Span{
			Tokens: rapid.Uint64Range(1e8, 1<<50).Draw(t, "until")}
		s.Train.Phases[1].Lr = rapid.Float64Range(1e-4, 1).Draw(t, "phase lr")
		s.Train.Spike.Zscore = rapid.Float64Range(1e-9, 1e9).Draw(t, "zscore")
		s.Train.Spike.Back = rapid.Uint32Range(0, 100).Draw(t, "back")
		s.Train.Spike.Ahead = rapid.Uint32().Draw(t, "ahead")
		s.Eval.Guard.MaxRegression = rapid.Float64Range(1e-9, 9).Draw(t, "regression")
		s.Train.Optimizer.Lr = rapid.Float64Range(1e-4, 1).Draw(t, "lr")
		s.Resources.Priority = rapid.Int32Range(-1<<31+1, 1<<31-1).Draw(t, "priority")
		again, err := Edit(s)
		if err != nil {
			t.Fatalf("%v: %v", s, err)
		}
		if !proto.Equal(s, again) {
			t.Fatalf("Format loses something:\n%v\n%v", s, again)
		}
	})
}

// TestI13_TooManyErrorsAreBounded: a huge file of nonsense gives a short answer.
func TestI13_TooManyErrorsAreBounded(t *testing.T) {
	var b strings.Builder
	for b.Len() < MaxBytes/2 {
		b.WriteString(strings.Repeat("k", b.Len()%97+1) + "x: 1\n")
	}
	_, err := Parse("x.yaml", []byte(b.String()))
	if all, ok := err.(Errors); !ok || len(all) != maxErrors+1 {
		t.Fatalf("%d errors, want %d", len(all), maxErrors+1)
	}
	_, err = Parse("x.yaml", make([]byte, MaxBytes+1))
	if err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a file beyond the limit: %v", err)
	}
}

// FuzzParse: no bytes and no override make Parse panic, and what it accepts survives Format.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "train.steps=80")
	}
	f.Add([]byte("a: &a [*a]"), "data.sources[0].name={a: [b, *c]}")
	f.Fuzz(func(t *testing.T, data []byte, set string) {
		for _, sets := range [][]string{nil, {set}} {
			spec, err := parse(&parser{file: "fuzz.yaml", dir: "/"}, data, sets)
			if (spec == nil) == (err == nil) {
				t.Fatalf("spec %v with error %v", spec, err)
			}
			if err != nil {
				continue
			}
			again, err := Edit(spec)
			if err != nil || !proto.Equal(spec, again) {
				t.Fatalf("accepted, but formatted it is %v, %v; was %v", again, err, spec)
			}
		}
	})
}
