package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/banyan-train/banyan/checkpoint/safetensors"
)

// configReader takes keys out of an object one by one and collects what is wrong.
type configReader struct {
	raw  map[string]json.RawMessage
	keys []string // in file order
	errs []error
}

func newConfigReader(data []byte) (*configReader, error) {
	members, err := safetensors.Members(data)
	if err != nil {
		return nil, err
	}
	r := &configReader{raw: make(map[string]json.RawMessage, len(members))}
	for _, m := range members {
		r.raw[m.Name] = bytes.TrimSpace(m.Value)
		r.keys = append(r.keys, m.Name)
	}
	return r, nil
}

func (r *configReader) fail(key, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("key %.200q %w", key, fmt.Errorf(format, args...)))
}

func (r *configReader) has(key string) bool {
	_, ok := r.raw[key]
	return ok
}

func (r *configReader) take(key string) (json.RawMessage, bool) {
	raw, ok := r.raw[key]
	delete(r.raw, key)
	return raw, ok
}

// value decodes an optional key into dst and reports whether it is there and not null.
func (r *configReader) value(key string, dst any) bool {
	raw, ok := r.take(key)
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		r.fail(key, "is %.200s: %w", raw, err)
		return false
	}
	return true
}

// size is a positive whole number; without a default (0) the key must be there.
func (r *configReader) size(key string, fallback uint32) uint32 {
	missing := !r.has(key) || string(r.raw[key]) == "null"
	n, bad := fallback, len(r.errs)
	r.value(key, &n)
	if n == 0 && missing && key != "head_dim" && key != "num_key_value_heads" {
		r.fail(key, "is missing; want a whole number")
	} else if n == 0 && !missing && len(r.errs) == bad {
		r.fail(key, "is 0; want a positive whole number")
	}
	return n
}

func (r *configReader) number(key string, fallback float64) float64 {
	x := fallback
	r.value(key, &x)
	return x
}

func (r *configReader) flag(key string) bool {
	var b bool
	r.value(key, &b)
	return b
}

// token is a token id, or the first of a list; -1 if there is none, or the family's if the key is
// absent.
func (r *configReader) token(key string, fallback int32) int32 {
	if !r.has(key) {
		return fallback
	}
	if raw := r.raw[key]; len(raw) > 0 && raw[0] == '[' {
		var ids []int32
		if r.value(key, &ids) && len(ids) > 0 {
			return max(ids[0], -1)
		}
		return -1
	}
	id := int32(-1)
	r.value(key, &id)
	return max(id, -1) // some folders write any negative number for none
}

// drop forgets the keys that are left.
func (r *configReader) drop() { clear(r.raw) }

// finish reports keys that nobody took and that are not known to be harmless.
func (r *configReader) finish(harmless []string) error {
	for _, key := range r.keys {
		if _, left := r.raw[key]; left && !slices.Contains(harmless, key) {
			r.fail(key, "is not known to this version, which cannot tell whether it changes the "+
				"mathematics; if it does not, remove it")
		}
	}
	return errors.Join(r.errs...)
}
