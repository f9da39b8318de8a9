package stage

import (
	"bytes"
	"testing"
)

// A record is read back as it was, or refused.
func FuzzDecode(f *testing.F) {
	f.Add(encode(Sequence{Tokens: []int32{1, 2}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decode(raw)
		if err != nil {
			return
		}
		again, err := decode(encode(s))
		if err != nil || !bytes.Equal(encode(again), encode(s)) {
			t.Fatalf("%+v comes back as %+v: %v", s, again, err)
		}
	})
}
