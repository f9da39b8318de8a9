package nvrtc

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/gpu"
)

// TestDocumentListsEveryEntry: the table of docs/GPU.md is the list that is loaded, line by line.
func TestDocumentListsEveryEntry(t *testing.T) {
	text, err := os.ReadFile("../../docs/GPU.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "| function | since |\n|---|---|\n"
	for _, e := range Entries() {
		want += fmt.Sprintf("| %s | %s |\n", e.Name, gpu.Version(e.Since))
	}
	if !strings.Contains(string(text), want+"\n") {
		t.Errorf("docs/GPU.md has another table than this:\n%s", want)
	}
}
