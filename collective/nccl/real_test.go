package nccl_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/banyan-train/banyan/collective/nccl"
	"github.com/banyan-train/banyan/gpu"
)

// TestRealLibrary loads the NCCL of a folder: what works without a GPU.
func TestRealLibrary(t *testing.T) {
	dir := os.Getenv("BANYAN_NCCL")
	if dir == "" {
		t.Skip("BANYAN_NCCL names no folder with libnccl.so.2; make peers does")
	}
	lib, err := nccl.Open(gpu.Search{Named: []string{dir}}, map[string]string{
		"NCCL_SOCKET_IFNAME": "lo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("NCCL %v at %s, all-to-all of its own: %t", lib.Version(), lib.Path(),
		lib.HasAllToAll())
	if lib.Version() < nccl.Oldest || (lib.Version() >= 22800) != lib.HasAllToAll() {
		t.Error("version and functions do not fit")
	}
	a, err := lib.NewID()
	if err != nil {
		t.Fatal(err)
	}
	b, err := lib.NewID()
	if err != nil || a == b || bytes.Equal(a[:], make([]byte, len(a))) {
		t.Errorf("ids %x and %x, error %v", a, b, err)
	}
	for code, want := range map[int]string{0: "no error", 4: "invalid argument (run with " +
		"NCCL_DEBUG=WARN for details)", 6: "remote process exited or there was a network error",
		7: "NCCL operation in progress"} {
		if got := lib.Text(code); got != want {
			t.Errorf("the text of %d is %q, want %q", code, got, want)
		}
	}
}
