package model_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

// Middle-sized models of every family against transformers. BANYAN_PEERS is a folder that
// scripts/peer_gradients.py made; `make peers` does both.
func TestPeerGradients(t *testing.T) {
	dir := os.Getenv("BANYAN_PEERS")
	if dir == "" {
		t.Skip("BANYAN_PEERS is not set: make peers runs this with what transformers computes")
	}
	folders, err := filepath.Glob(filepath.Join(dir, "*", "golden.safetensors"))
	if err != nil || len(folders) < 4 {
		t.Fatalf("%s holds goldens %v (%v), want every family's", dir, folders, err)
	}
	for _, f := range folders {
		t.Run(filepath.Base(filepath.Dir(f)), func(t *testing.T) {
			for _, dt := range []kernel.DType{kernel.F32, kernel.BF16} {
				compareGolden(t, newCPU(t, cpu.Classes()[0], 2), filepath.Dir(f), dt)
			}
		})
	}
}
