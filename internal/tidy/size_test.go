package tidy

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// The budgets. Generated code is exempt; C files are too where functions are concerned.
const (
	maxFileLines = 400
	maxFuncLines = 70
	maxColumns   = 100 // characters; a tab is one
)

// oversize lists what is over a budget and why that stands, by "file", "file func" or "file wide"
// (the number of lines over maxColumns). The number is the present one: it may only fall.
var oversize = map[string]int{
	// One table of cases; it reads better whole.
	"dataset/tokenize/refuse_test.go TestUnsupportedFilesAreRefusedByName": 84,
	// Breaking a message into lines changes the generated code of every package.
	"proto/banyan/v1/record.proto wide": 1,
	"proto/banyan/v1/state.proto wide":  1,
}

// measure lists everything over a budget, with its size.
func measure(r *repo) map[string]int {
	over := map[string]int{}
	generated := map[string]bool{}
	for _, f := range r.code {
		generated[f.path] = f.generated
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.generated {
				continue
			}
			n := r.fset.Position(fn.End()).Line - r.fset.Position(fn.Pos()).Line + 1
			if n > maxFuncLines {
				over[f.path+" "+fn.Name.Name] = n
			}
		}
	}
	for p, text := range r.text {
		if generated[p] || !hasSuffix(p, []string{".go", ".c", ".h", ".cu", ".proto"}) {
			continue
		}
		if n := strings.Count(text, "\n"); n > maxFileLines {
			over[p] = n
		}
		wide := 0
		for line := range strings.Lines(text) {
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > maxColumns {
				wide++
			}
		}
		if wide > 0 {
			over[p+" wide"] = wide
		}
	}
	return over
}

// ratchet compares what is over budget with the list of exceptions, both ways.
func ratchet(over, allowed map[string]int) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(over)) {
		switch a := allowed[k]; {
		case a == 0:
			out = append(out, fmt.Sprintf("%s: %d, over the budget of %d lines a file, %d a function, "+
				"%d columns", k, over[k], maxFileLines, maxFuncLines, maxColumns))
		case over[k] > a:
			out = append(out, fmt.Sprintf("%s: grew from %d to %d", k, a, over[k]))
		case over[k] < a:
			out = append(out, fmt.Sprintf("%s: shrank to %d: lower its exception of %d", k, over[k], a))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(allowed)) {
		if over[k] == 0 {
			out = append(out, k+": within the budget: remove its exception")
		}
	}
	return out
}
