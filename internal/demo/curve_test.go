package demo

import (
	"fmt"
	"strings"
	"testing"
)

// line is one record as `watch --json` prints it; edits replace parts of it.
func line(step, generation int, edits ...string) string {
	s := fmt.Sprintf(`{"step":%d,"generation":%d,"loss":4.25,"loss_by_lang":{"en":4.0000000001,`+
		`"zh":4.5},"grad_norm":1.5,"lr":0.001,"tokens":2048,"data_digest":"ab","timings":`+
		`{"unix_ms":%d,"world":%d}}`, step, generation, 1000*step+generation, 4-generation)
	return strings.NewReplacer(edits...).Replace(s) + "\n"
}

func mustRead(t *testing.T, lines ...string) curve {
	t.Helper()
	c, err := readCurve(strings.NewReader(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDifferenceIgnoresOnlyGenerationAndTimings(t *testing.T) {
	control := mustRead(t, line(1, 1), line(2, 1), line(3, 1))
	if d := difference(mustRead(t, line(1, 1), line(2, 2), line(3, 2)), control); d != "" {
		t.Errorf("other generation and timings: %s", d)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"a float's last bit", "4.0000000001", "4.0000000002",
			"step 2: loss_by_lang.en: disturbed 4.0000000002, control 4.0000000001"},
		{"same value, other text", "4.25", "4.250", "step 2: loss: disturbed 4.250, control 4.25"},
		{"a text", `"ab"`, `"ac"`, `step 2: data_digest: disturbed "ac", control "ab"`},
		{"a lost key", `,"zh":4.5`, "", "step 2: loss_by_lang.zh: disturbed nothing, control 4.5"},
		{"a field more", `"lr"`, `"x":1,"lr"`, "step 2: x: disturbed 1, control nothing"},
		{"another type", `"tokens":2048`, `"tokens":"2048"`,
			`step 2: tokens: disturbed "2048", control 2048`},
		{"two at once: the first by name", `"grad_norm":1.5,"lr":0.001`, `"grad_norm":9,"lr":9`,
			"step 2: grad_norm: disturbed 9, control 1.5"},
	} {
		disturbed := mustRead(t, line(1, 1), line(2, 2, c.from, c.to), line(3, 2, c.from, c.to))
		if got := difference(disturbed, control); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDifferenceOfLengths(t *testing.T) {
	long, short := mustRead(t, line(1, 1), line(2, 1)), mustRead(t, line(1, 1))
	if d := difference(short, long); d != "disturbed has 1 steps, control has 2" {
		t.Error(d)
	}
	if d := difference(long, short); d != "disturbed has 2 steps, control has 1" {
		t.Error(d)
	}
}

func TestI11ReadCurveWantsEveryStepOnceInOrder(t *testing.T) {
	for _, c := range []struct {
		name, want string
		lines      []string
	}{
		{"gap", "line 2: step 3, want step 2", []string{line(1, 1), line(3, 1)}},
		{"repeated", "line 3: step 2, want step 3", []string{line(1, 1), line(2, 1), line(2, 2)}},
		{"late start", "line 1: step 2, want step 1", []string{line(2, 1)}},
		{"fraction", "line 1: step 1.0, want step 1", []string{line(1, 1, `"step":1`, `"step":1.0`)}},
		{"cut off", "line 1: incomplete", []string{line(1, 1)[:40]}},
		{"no line end", "line 1: incomplete", []string{strings.TrimSpace(line(1, 1))}},
		{"no loss", `line 1: no field "loss"`, []string{line(1, 1, `"loss"`, `"lost"`)}},
		{"null", `line 1: no field "lr"`, []string{line(1, 1, "0.001", "null")}},
		{"an event", `no field "step"`, []string{`{"event":"REWIND","index":7}` + "\n"}},
		{"not JSON", "line 1: ", []string{"panic: x\n"}},
		{"too long", "too long", []string{line(1, 1, `"ab"`, `"`+strings.Repeat("a", maxRecord)+`"`)}},
	} {
		_, err := readCurve(strings.NewReader(strings.Join(c.lines, "")))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
