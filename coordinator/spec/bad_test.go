package spec

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// TestI13_BadYAML parses testdata/bad/*.yaml and compares all errors, one a line, with the .txt
// beside it. A first line `# set: a=b | c=d` gives --set arguments.
func TestI13_BadYAML(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d bad files: %v", len(files), err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := Parse(file, data, setsOf(string(data))...)
			var all Errors
			if !errors.As(err, &all) || spec != nil {
				t.Fatalf("parsed to %v, %v; want errors", spec, err)
			}
			for _, e := range all {
				if e.Fix == "" {
					t.Errorf("no fix: %v", e)
				}
			}
			got := strings.ReplaceAll(err.Error(), here, "HERE") + "\n"
			if strings.Contains(got, "hunter2") || strings.Contains(got, "12345") {
				t.Errorf("I12: an error repeats a secret:\n%s", got)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", got)
		})
	}
}

func setsOf(text string) []string {
	line, _, _ := strings.Cut(text, "\n")
	if list, ok := strings.CutPrefix(line, "# set: "); ok {
		return strings.Split(list, " | ")
	}
	return nil
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it); got:\n%s\nwant:\n%s", file, got, want)
	}
}
