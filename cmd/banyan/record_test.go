package main

import (
	"encoding/json"
	"testing"
)

// FuzzRecord: what is read of a line is what encoding/json sees in it; all else is refused.
func FuzzRecord(f *testing.F) {
	for _, line := range []string{`{"text":"a","ids":[1,2]}`, `{"ids":[null]}`, `{"ids":[1.0,-1]}`,
		"", " ", "null", "[1]", `{"text":`, "\ufeff{}", `{"text":"\ud800"}`, `{"ids":{}}`,
		"{\"text\":\"\xff\"}", `{"text":"a","TEXT":"b","text":"c"}`, `{"ids":["null"]}`} {
		f.Add([]byte(line))
	}
	const vocab = 100
	f.Fuzz(func(t *testing.T, line []byte) {
		var want map[string]any
		_ = json.Unmarshal(line, &want)
		if text, err := textOf(line); err == nil && want["text"] != any(text) {
			t.Errorf("%q: read %q", line, text)
		}
		ids, err := idsOf(line, vocab)
		if err != nil {
			return
		}
		list, ok := want["ids"].([]any)
		if !ok || len(list) != len(ids) {
			t.Fatalf("%q: read %v", line, ids)
		}
		for i, id := range ids {
			if list[i] != any(float64(id)) || id < 0 || id >= vocab {
				t.Errorf("%q: ids[%d] is %d", line, i, id)
			}
		}
	})
}
