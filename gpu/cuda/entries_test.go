package cuda_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/fake"
)

// TestDocumentListsEveryEntry: the table of docs/GPU.md is the list that is loaded, line by line.
func TestDocumentListsEveryEntry(t *testing.T) {
	root, err := fake.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "GPU.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, e := range cuda.Entries() {
		note := ""
		if e.Optional {
			note = "optional"
		} else if gpu.Version(e.Since) > gpu.MinDriver {
			t.Errorf("%s is of CUDA %s, but a driver of %s will do", e.Name, gpu.Version(e.Since),
				gpu.MinDriver)
		}
		fmt.Fprintf(&want, "| %s | %s | %s |\n", e.Name, gpu.Version(e.Since), note)
	}
	if !strings.Contains(string(text), "|---|---|---|\n"+want.String()) {
		t.Errorf("docs/GPU.md has another table than this:\n%s", want.String())
	}
}
