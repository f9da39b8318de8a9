package nvrtc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/banyan-train/banyan/gpu"
)

const magic = "banyan cubin 1\n"

// maxCubin bounds what is read: the largest of ours has some hundred KiB.
const maxCubin = 256 << 20

var errDamaged = errors.New("damaged")

// cacheName is the name of a file of the cache.
func cacheName(s Source, arch gpu.Arch, v gpu.Version) string {
	return digest(s, arch, v.String()) + ".cubin"
}

// aheadName is the name of a file made ahead of time, by whatever NVRTC.
func aheadName(s Source, arch gpu.Arch) string {
	return fmt.Sprintf("%s-%s-%s.cubin", strings.TrimSuffix(s.Name, filepath.Ext(s.Name)), arch,
		digest(s, arch, "")[:16])
}

// digest is that of what a cubin depends on, each with its length before it.
func digest(s Source, arch gpu.Arch, version string) string {
	h := sha256.New()
	for _, part := range []string{s.Text, strings.Join(options, "\n"), version, arch.String()} {
		fmt.Fprintf(h, "%d\n%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// readFile reads a file and verifies it.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCubin+1))
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < sha256.Size || len(b) > maxCubin {
		return nil, fmt.Errorf("%s: %w: not a cubin of ours", path, errDamaged)
	}
	want, cubin := rest[:sha256.Size], rest[sha256.Size:]
	if got := sha256.Sum256(cubin); !bytes.Equal(got[:], want) {
		return nil, fmt.Errorf("%s: %w: its digest does not fit", path, errDamaged)
	}
	return cubin, nil
}

// writeFile writes a file so that others see all of it or nothing.
func writeFile(path string, cubin []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".cubin-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	sum := sha256.Sum256(cubin)
	_, err = f.Write(append(append([]byte(magic), sum[:]...), cubin...))
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
