package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ask runs requests against one server and returns the answers.
func ask(t *testing.T, requests ...string) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	if err := run(strings.NewReader(strings.Join(requests, "\n")), &out); err != nil {
		t.Fatal(err)
	}
	var answers []map[string]any
	for dec := json.NewDecoder(&out); dec.More(); {
		var a map[string]any
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(requests) {
		t.Fatalf("%d answers to %d requests", len(answers), len(requests))
	}
	return answers
}

const (
	open = `{"do":"open","threads":2}`
	tiny = `{"do":"model","hidden":32,"layers":1,"heads":2,"kv_heads":1,"ffn":48,"vocab":64,` +
		`"seq_len":8,"batch":2,"precision":"PRECISION"}`
	step = `{"do":"step"}`
)

func TestStepsTrainAndAProfileCoversThem(t *testing.T) {
	for _, precision := range []string{"fp32", "bf16"} {
		model := strings.Replace(tiny, "PRECISION", precision, 1)
		a := ask(t, open, model, step, `{"do":"step","repeat":20}`, `{"do":"profile"}`)
		// 2 tables of 64x32, 3 norms, q and o, k and v, and the 3 of the feed-forward.
		want := 2*64*32 + 3*32 + 2*32*32 + 2*16*32 + 3*48*32
		if got := a[1]["parameters"]; got != float64(want) {
			t.Errorf("%s: %v parameters, want %d: %v", precision, got, want, a[1])
		}
		first, later := a[2]["loss"].(float64), a[3]["loss"].(float64)
		if first < 3.5 || first > 5 || later >= first-0.01 { // log 64 = 4.16
			t.Errorf("%s: loss %v at first, %v later", precision, first, later)
		}
		share := 0.0
		for _, op := range a[4]["ops"].([]any) {
			share += op.(map[string]any)["share"].(float64)
		}
		if share <= 0 || share > 1.001 {
			t.Errorf("%s: the ops' shares add up to %v", precision, share)
		}
	}
}

func TestBadRequestsAreAnsweredAndChangeNothing(t *testing.T) {
	a := ask(t, step, open, step, `{`, `{"do":"dance"}`,
		`{"do":"matmul","m":2,"n":2,"k":2,"layout":"x","dtype":"fp32"}`,
		`{"do":"matmul","m":2,"n":2,"k":2,"layout":"tn","dtype":"fp32"}`, `{"do":"memory"}`)
	for i, part := range map[int]string{0: "no backend", 2: "no model", 3: "JSON",
		4: `unknown request "dance"`, 5: "layout"} {
		if text, _ := a[i]["error"].(string); !strings.Contains(text, part) {
			t.Errorf("answer %d is %v, want an error about %s", i, a[i], part)
		}
	}
	if s, _ := a[6]["seconds"].(float64); s <= 0 {
		t.Errorf("a product after errors: %v", a[6])
	}
	peak, now := a[7]["peak_bytes"].(float64), a[7]["resident_bytes"].(float64)
	if peak < now || now <= 0 {
		t.Errorf("memory: %v", a[7])
	}
}

func TestReadCountsTheTokensOfSteps(t *testing.T) {
	const read = `{"do":"read","repeat":3}`
	corpus := `{"do":"reader","tokenizer":"../../examples/tokenizer","seq_len":64,"batch":4,` +
		`"sources":["../../examples/corpora/zh-facts.jsonl","../../examples/corpora/en-facts.jsonl"]}`
	a := ask(t, read, corpus, read, strings.Replace(corpus, "64", "0", 1), read)
	if a[0]["error"] == nil || a[3]["error"] == nil {
		t.Errorf("no error without a corpus, or without a length: %v, %v", a[0], a[3])
	}
	for _, i := range []int{2, 4} {
		if a[i]["tokens"] != float64(3*4*64) || a[i]["seconds"].(float64) <= 0 {
			t.Errorf("3 steps of 4 sequences of 64: %v", a[i])
		}
	}
}

func TestTextsAreThoseOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jsonl")
	data := "{\"meta\":{\"text\":\"榕\"}}\n{\"meta\":{\"text\":\"\"}}\n{\"meta\":{\"text\":\"b\"}}\n"
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	a := ask(t, fmt.Sprintf(`{"do":"texts","sources":[%q],"text_field":"meta.text"}`, path),
		fmt.Sprintf(`{"do":"texts","sources":[%q]}`, path))
	if got := fmt.Sprint(a[0]["texts"]); got != "[榕 b]" || a[1]["error"] == nil {
		t.Errorf("%v, %v", a[0], a[1])
	}
}

func TestEncodeCountsTokens(t *testing.T) {
	corpus := `{"do":"corpus","tokenizer":"../../examples/tokenizer",` +
		`"files":["../../examples/corpora/zh-facts.jsonl"]}`
	encode := `{"do":"encode","repeat":2}`
	a := ask(t, encode, corpus, encode, `{"do":"corpus","tokenizer":"../../examples"}`)
	if a[0]["error"] == nil || a[3]["error"] == nil {
		t.Errorf("no error without texts, or without a tokenizer: %v, %v", a[0], a[3])
	}
	size, tokens := a[1]["bytes"].(float64), a[2]["tokens"].(float64)
	if size < 100_000 || tokens < size/10 || tokens > size/2 || a[2]["cpu_seconds"].(float64) <= 0 {
		t.Errorf("%v bytes are %v tokens: %v", size, tokens, a[2])
	}
}
