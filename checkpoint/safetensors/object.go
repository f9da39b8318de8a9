package safetensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// Member is one name and its undecoded value in a JSON object.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Members splits one JSON object into its members, in order. It is stricter than encoding/json: a
// name that appears twice, invalid UTF-8 and anything after the object are errors. Also used for
// config.json, where a silently dropped duplicate could change the mathematics.
func Members(data []byte) ([]Member, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("read JSON object: not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("read JSON object: %w", err)
	} else if tok != json.Delim('{') {
		return nil, fmt.Errorf("read JSON object: starts with %v, want {", tok)
	}
	var members []Member
	seen := make(map[string]bool)
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("read JSON object: %w", err)
		}
		name, ok := tok.(string)
		if !ok {
			return nil, fmt.Errorf("read JSON object: name %v is not a string", tok)
		}
		if seen[name] {
			return nil, fmt.Errorf("read JSON object: %q appears twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("read JSON object: value of %q: %w", name, err)
		}
		members = append(members, Member{name, value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("read JSON object: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("read JSON object: more data after its end at byte %d",
			dec.InputOffset())
	}
	return members, nil
}
