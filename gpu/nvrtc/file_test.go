package nvrtc

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

// FuzzReadFile: what is read is what was written with its digest, or an error.
func FuzzReadFile(f *testing.F) {
	sum := sha256.Sum256([]byte("cubin"))
	f.Add(append(append([]byte(magic), sum[:]...), "cubin"...))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readFile(path)
		if err != nil {
			return
		}
		sum := sha256.Sum256(got)
		if !bytes.Equal(b, append(append([]byte(magic), sum[:]...), got...)) {
			t.Fatalf("%q was read from %q", got, b)
		}
	})
}
