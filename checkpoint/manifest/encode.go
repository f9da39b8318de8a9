package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// MaxBytes bounds a manifest that is read. One of a 100 G parameter model has about 150 MB.
const MaxBytes = 1 << 30

// Encode returns the bytes of manifest.json: one line of JSON. Equal manifests give equal bytes.
func (m *Manifest) Encode() ([]byte, error) {
	if _, err := m.check(); err != nil {
		return nil, fmt.Errorf("encode manifest of step %d: %w", m.Step, err)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest of step %d: %w", m.Step, err)
	}
	return append(data, '\n'), nil
}

// Decode reads a manifest and checks all of it. Unknown fields are errors: they would belong to a
// later version that says something this program does not understand.
func Decode(data []byte) (*Manifest, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("decode manifest: %d bytes, limit %d", len(data), MaxBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var m Manifest
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("decode manifest: data after its end")
	}
	var err error
	if m.index, err = m.check(); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	return &m, nil
}

// Digest is the SHA-256 (hex) of a manifest's bytes: what Raft commits.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
