package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxErrors bounds what one bad file can print.
const maxErrors = 100

// Error is one thing wrong with a spec, where it is, and what to write instead.
type Error struct {
	File    string
	Line    int // 1-based; 0: the value came from --set, or the whole file is meant
	Column  int
	Set     string // the path given to --set, when the value came from there
	Path    string // of the field, e.g. data.sources[1].weight
	Message string
	Fix     string
	set     string // the path of the field that Set names
}

// Error formats "file:line:col: path: message; fix".
func (e Error) Error() string {
	var b strings.Builder
	switch {
	case e.Set != "":
		fmt.Fprintf(&b, "--set %s: ", e.Set)
	case e.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	default:
		fmt.Fprintf(&b, "%s: ", e.File)
	}
	if path := e.inside(); path != "" {
		fmt.Fprintf(&b, "%s: ", path)
	}
	b.WriteString(e.Message)
	if e.Fix != "" {
		fmt.Fprintf(&b, "; %s", e.Fix)
	}
	return b.String()
}

// inside is the path without what --set has said of it: "" for the field that it names, lr for
// train.optimizer.lr inside of train.optimizer.
func (e Error) inside() string {
	rest, ok := strings.CutPrefix(e.Path, e.set)
	switch {
	case e.set == "" || !ok:
		return e.Path
	case strings.HasPrefix(rest, "."):
		return rest[1:]
	case rest == "" || strings.HasPrefix(rest, "["):
		return rest
	}
	return e.Path
}

// Errors is everything wrong with a spec, in the order of the file, then of --set.
type Errors []Error

// Error gives one line an error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// result sorts, drops repetitions and bounds what was found; nil when nothing was.
func (es Errors) result() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	es = slices.Compact(es)
	if extra := len(es) - maxErrors; extra > 0 {
		last := Error{File: es[0].File, Message: fmt.Sprintf("and %d more errors", extra)}
		es = append(es[:maxErrors:maxErrors], last)
	}
	return es
}

// fail records an error at a node and marks the path, so that later checks pass over it.
func (p *parser) fail(n *yaml.Node, path, fix, format string, args ...any) {
	e := Error{File: p.file, Path: path, Message: fmt.Sprintf(format, args...), Fix: fix}
	if n != nil {
		e.Line, e.Column, e.Set = n.Line, n.Column, p.sets[n]
		e.set = p.fields[e.Set]
	}
	if e.Set != "" || p.made {
		e.Line, e.Column = 0, 0 // a position inside the argument helps nobody
	}
	p.errs = append(p.errs, e)
	p.bad[path] = true
}

// failAt records an error at the value of a path, or at its nearest parent in the file.
func (p *parser) failAt(path, fix, format string, args ...any) {
	p.fail(p.nearest(path), path, fix, format, args...)
}

// nearest finds the node of a path or of the closest parent that the file has.
func (p *parser) nearest(path string) *yaml.Node {
	for {
		if n := p.nodes[path]; n != nil {
			return n
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return p.root
		}
		path = path[:cut]
	}
}

// ok says that a path was given and nothing was wrong with it so far.
func (p *parser) ok(path string) bool {
	return p.nodes[path] != nil && !p.bad[path]
}
