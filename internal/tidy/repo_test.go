package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path that our own imports start with.
const module = "github.com/banyan-train/banyan/"

// repo is a tree of text files by path, with '/' and relative to its root.
type repo struct {
	text map[string]string
	fset *token.FileSet
	code []*goFile // parsed, by path
	dirs map[string]bool
	bad  []string // files that do not parse
}

type goFile struct {
	path, dir string
	test      bool // *_test.go
	generated bool
	ast       *ast.File
}

// skipped are folders that are not source but what programs made.
var skipped = map[string]bool{
	".git": true, ".demo": true, ".venv": true, ".banyan": true, "bin": true,
}

// textSuffixes are the files that rules look at.
var textSuffixes = []string{".go", ".c", ".h", ".cu", ".proto", ".md", ".py", ".sh", ".yaml",
	"Makefile"}

// loadRepo reads the tree below root.
func loadRepo(t *testing.T, root string) *repo {
	t.Helper()
	text := map[string]string{}
	dirs := map[string]bool{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if skipped[d.Name()] {
				return filepath.SkipDir
			}
			dirs[rel] = true
			return nil
		}
		text[rel] = ""
		if strings.Contains(rel, "testdata/") || !hasSuffix(rel, textSuffixes) {
			return nil
		}
		b, err := os.ReadFile(p)
		text[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := newRepo(text)
	maps.Copy(r.dirs, dirs)
	return r
}

func hasSuffix(name string, suffixes []string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// newRepo parses the Go files among texts.
func newRepo(text map[string]string) *repo {
	r := &repo{text: text, fset: token.NewFileSet(), dirs: map[string]bool{}}
	for _, p := range r.paths() {
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			r.dirs[d] = true
		}
		if !strings.HasSuffix(p, ".go") || strings.Contains(p, "testdata/") {
			continue
		}
		f, err := parser.ParseFile(r.fset, p, text[p], parser.ParseComments)
		if err != nil {
			r.bad = append(r.bad, fmt.Sprintf("%s: does not parse: %v", p, err))
			continue
		}
		r.code = append(r.code, &goFile{path: p, dir: path.Dir(p), ast: f,
			test: strings.HasSuffix(p, "_test.go"), generated: ast.IsGenerated(f)})
	}
	return r
}

func (r *repo) paths() []string { return slices.Sorted(maps.Keys(r.text)) }

// at writes a violation at a place of the syntax tree.
func (r *repo) at(n ast.Node, format string, args ...any) string {
	p := r.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}

// imports lists a file's import paths.
func (f *goFile) imports() map[string]*ast.ImportSpec {
	out := map[string]*ast.ImportSpec{}
	for _, s := range f.ast.Imports {
		out[strings.Trim(s.Path.Value, `"`)] = s
	}
	return out
}

// rule finds the places of a repo that break it.
type rule struct {
	name  string
	check func(*repo) []string
}

var rules = []rule{
	{"parse", func(r *repo) []string { return r.bad }},
	{"import table", importTable},
	{"owned imports", ownedImports},
	{"pure packages", purePackages},
	{"worker apart from coordinator", workerApart},
	{"model alone", modelAlone},
	{"package documentation", packageDocs},
	{"size", func(r *repo) []string { return ratchet(measure(r), oversize) }},
	{"format", formatted},
	{"sleep", noSleep},
	{"skip", skipsSayWhy},
	{"unfinished", noUnfinished},
	{"invariants", invariantsTested},
	{"document paths", docPaths},
	{"document identifiers", docIdentifiers},
	{"document commands", docCommands},
	{"readme twins", readmeTwins},
}

func TestTidy(t *testing.T) {
	r := loadRepo(t, filepath.Join("..", ".."))
	if len(r.code) < 100 {
		t.Fatalf("found %d Go files: is this the repository?", len(r.code))
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, v := range rule.check(r) {
				t.Error(v)
			}
		})
	}
}
