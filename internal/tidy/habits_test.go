package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"path"
	"regexp"
	"strings"
)

// invariants is how many there are: I1, I2 and so on (docs/ARCHITECTURE.md).
const invariants = 13

// packageDocs wants a doc.go with a comment in every folder of Go code.
func packageDocs(r *repo) []string {
	var out []string
	seen := map[string]bool{}
	for _, f := range r.code {
		if seen[f.dir] || strings.HasPrefix(f.dir, "proto/") {
			continue
		}
		seen[f.dir] = true
		if _, ok := r.text[path.Join(f.dir, "doc.go")]; !ok {
			out = append(out, f.dir+": has no doc.go")
		}
	}
	for _, f := range r.code {
		if path.Base(f.path) != "doc.go" {
			continue
		}
		doc := f.ast.Doc.Text()
		want := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			want = "Command " + path.Base(f.dir) + " "
		}
		if !strings.HasPrefix(doc, want) {
			out = append(out, fmt.Sprintf("%s: its comment does not begin with %q", f.path, want))
		}
	}
	return out
}

// formatted is gofmt.
func formatted(r *repo) []string {
	var out []string
	for _, f := range r.code {
		text := []byte(r.text[f.path])
		if want, err := format.Source(text); err != nil || !bytes.Equal(want, text) {
			out = append(out, f.path+": not as gofmt writes it")
		}
	}
	return out
}

// noSleep: a test waits for a condition with a deadline; a pause is too short on a busy machine
// and too long on all others.
func noSleep(r *repo) []string {
	var out []string
	for _, f := range r.code {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if name, ok := selected(n, "time"); ok && name == "Sleep" {
				out = append(out, r.at(n, "a test sleeps: wait for a condition"))
			}
			return true
		})
	}
	return out
}

// skipsSayWhy: a test that is not run is a defect unless it says what is missing.
func skipsSayWhy(r *repo) []string {
	var out []string
	for _, f := range r.code {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !f.test {
				return true
			}
			s, ok := call.Fun.(*ast.SelectorExpr)
			if ok && (s.Sel.Name == "SkipNow" ||
				len(call.Args) == 0 && (s.Sel.Name == "Skip" || s.Sel.Name == "Skipf")) {
				out = append(out, r.at(n, "a test is skipped without a reason"))
			}
			return true
		})
	}
	return out
}

var (
	namesInvariants = regexp.MustCompile(`^Test((?:I\d+)+)`)
	oneInvariant    = regexp.MustCompile(`I\d+`)
)

// invariantsTested: each invariant has a test that names it, like TestI3_Words.
func invariantsTested(r *repo) []string {
	named := map[string]bool{}
	for name := range r.declared() {
		if m := namesInvariants.FindStringSubmatch(name); m != nil {
			for _, i := range oneInvariant.FindAllString(m[1], -1) {
				named[i] = true
			}
		}
	}
	var out []string
	for i := 1; i <= invariants; i++ {
		if name := fmt.Sprintf("I%d", i); !named[name] {
			out = append(out, name+": no test names it")
		}
	}
	return out
}

// unfinished marks work that was put off. The words are split so as not to find themselves.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

func noUnfinished(r *repo) []string {
	var out []string
	for _, p := range r.paths() {
		for i, line := range strings.Split(r.text[p], "\n") {
			if word := unfinished.FindString(line); word != "" {
				out = append(out, fmt.Sprintf("%s:%d: %s: do it, or write an issue", p, i+1, word))
			}
		}
	}
	return out
}
