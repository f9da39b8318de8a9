package hf

import (
	"strings"
	"testing"
)

// FuzzIndex: no input panics, and no accepted index leaves its folder or names a tensor twice.
func FuzzIndex(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"total_size":8},"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}`,
		`{"weight_map":{}}`, `{"weight_map":{"a":"../x"}}`, `{"weight_map":[1]}`, `{}`, `[`,
		`{"weight_map":{"a":"x","a":"x"}}`, `{"weight_map":{"a":"."}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseIndex(data)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, e := range entries {
			if seen[e.tensor] || e.file == "" || e.file == "." || e.file == ".." ||
				strings.ContainsAny(e.file, `/\`) {
				t.Errorf("accepted %q in %q", e.tensor, e.file)
			}
			seen[e.tensor] = true
		}
	})
}
