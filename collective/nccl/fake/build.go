package fake

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	cuda "github.com/banyan-train/banyan/gpu/fake"
)

// EnvFaults names the environment variable with the faults of a process (src/faults.c).
const EnvFaults = "BANYAN_FAKE_NCCL"

// Build puts libnccl.so.2 into a folder that has the fake libcuda. without are functions that it
// does not have.
func Build(t testing.TB, dir string, without ...string) {
	t.Helper()
	b, err := compiled(strings.Join(without, " "))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "libnccl.so.2"), b, 0o755)
	}
	if err != nil {
		t.Fatalf("build a fake libnccl: %v", err)
	}
}

var (
	mutex sync.Mutex
	cache = map[string][]byte{} // by what is missing: compiling takes a second
)

func compiled(without string) ([]byte, error) {
	mutex.Lock()
	defer mutex.Unlock()
	if b, ok := cache[without]; ok {
		return b, nil
	}
	b, err := compile(strings.Fields(without))
	if err == nil {
		cache[without] = b
	}
	return b, err
}

func compile(without []string) ([]byte, error) {
	root, err := cuda.Root()
	if err != nil {
		return nil, err
	}
	sources, err := filepath.Glob(filepath.Join(root, "collective", "nccl", "fake", "src", "*.c"))
	if err != nil || len(sources) == 0 {
		return nil, fmt.Errorf("no sources below %s: %v", root, err)
	}
	dir, err := os.MkdirTemp("", "banyan-fake-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	flags := []string{"-ffp-contract=off"}
	for _, name := range without {
		flags = append(flags, fmt.Sprintf("-D%s=without_%s", name, name))
	}
	path := filepath.Join(dir, "libnccl.so.2")
	if err := cuda.Library(path, sources, flags...); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
