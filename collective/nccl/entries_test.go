package nccl_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/collective/nccl"
)

// TestDocumentListsEveryEntry: the table of docs/GPU.md is the list that is loaded, line by line,
// but for the notes behind it.
func TestDocumentListsEveryEntry(t *testing.T) {
	text, err := os.ReadFile("../../docs/GPU.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "## Functions of NCCL\n")
	_, table, _ := strings.Cut(after, "|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows, entries := strings.Split(table, "\n"), nccl.Entries()
	if len(rows) != len(entries) {
		t.Fatalf("%d rows for %d functions", len(rows), len(entries))
	}
	for i, e := range entries {
		want := fmt.Sprintf("| %s | %d.%d | ", e.Name, e.Since/10000, e.Since%10000/100)
		if e.Optional {
			want += "optional: "
		}
		if !strings.HasPrefix(rows[i], want) ||
			e.Optional != strings.Contains(rows[i], "optional") {
			t.Errorf("row %q, want %q", rows[i], want)
		}
	}
}
