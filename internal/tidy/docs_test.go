package tidy

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// span is one piece of `inline code` of a document.
type span struct {
	where, text string
}

var inlineCode = regexp.MustCompile("`([^`]+)`")

// isDocument: what describes the code to people.
func isDocument(p string) bool {
	return strings.HasSuffix(p, ".md") && (strings.HasPrefix(p, "docs/") ||
		strings.HasPrefix(p, "README"))
}

// spans lists the inline code of all documents; code blocks are examples and not looked at.
func (r *repo) spans() []span {
	var out []span
	for _, p := range r.paths() {
		if !isDocument(p) {
			continue
		}
		fenced := false
		for i, line := range strings.Split(r.text[p], "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			for _, m := range inlineCode.FindAllStringSubmatch(line, -1) {
				if !fenced {
					out = append(out, span{fmt.Sprintf("%s:%d", p, i+1), m[1]})
				}
			}
		}
	}
	return out
}

var pathText = regexp.MustCompile(`^\.?[A-Za-z0-9_-]+[A-Za-z0-9_.-]*(/[A-Za-z0-9_.{},*-]+)*/?$`)

// elsewhere are beginnings of paths that are not of the source tree: what programs make, and names
// of libraries.
var elsewhere = []string{".demo/", ".banyan/", "bin/", "hashicorp/", "cpu/", "banyan/v1"}

// docPaths: every path named in a document exists. A path is what has a slash or a known suffix.
func docPaths(r *repo) []string {
	var out []string
	for _, s := range r.spans() {
		if !pathText.MatchString(s.text) || slices.ContainsFunc(elsewhere, func(p string) bool {
			return strings.HasPrefix(s.text, p)
		}) {
			continue
		}
		if !strings.Contains(s.text, "/") && !hasSuffix(s.text, []string{".go", ".md", ".proto"}) {
			continue
		}
		for _, p := range braces(strings.TrimSuffix(s.text, "/")) {
			if _, ok := r.text[p]; !ok && !r.dirs[p] && !r.globs(p) {
				out = append(out, fmt.Sprintf("%s: there is no %s", s.where, p))
			}
		}
	}
	return out
}

// braces expands a/{b,c} once.
func braces(p string) []string {
	open, end := strings.IndexByte(p, '{'), strings.IndexByte(p, '}')
	if open < 0 || end < open {
		return []string{p}
	}
	var out []string
	for part := range strings.SplitSeq(p[open+1:end], ",") {
		out = append(out, p[:open]+part+p[end+1:])
	}
	return out
}

// globs answers whether a path with a * in it names a file.
func (r *repo) globs(p string) bool {
	head, tail, ok := strings.Cut(p, "*")
	return ok && slices.ContainsFunc(r.paths(), func(x string) bool {
		return len(x) >= len(head)+len(tail) && strings.HasPrefix(x, head) &&
			strings.HasSuffix(x, tail)
	})
}

var (
	qualified = regexp.MustCompile(`^([a-z]\w*)\.([A-Z]\w*)(?:\.(\w+))?(?:\(\))?$`)
	testName  = regexp.MustCompile(`^(Test|Fuzz|Benchmark)\w+$`)
)

// aliases are names that our files give to imports.
var aliases = map[string]string{"pb": "banyanv1"}

// docIdentifiers: pkg.Name, pkg.Type.Member and names of tests in documents exist.
func docIdentifiers(r *repo) []string {
	have := r.declared()
	var out []string
	for _, s := range r.spans() {
		name := s.text
		if m := qualified.FindStringSubmatch(name); m != nil {
			pkg := m[1]
			if a := aliases[pkg]; a != "" {
				pkg = a
			}
			name = pkg + "." + m[2]
			if m[3] != "" {
				name += "." + m[3]
			}
		} else if !testName.MatchString(name) {
			continue
		}
		if !have[name] {
			out = append(out, fmt.Sprintf("%s: no code declares %s", s.where, s.text))
		}
	}
	return out
}

// declared lists what the code declares: pkg.Name, pkg.Type.Member, and bare names of tests.
func (r *repo) declared() map[string]bool {
	have := map[string]bool{}
	for _, f := range r.code {
		pkg := f.ast.Name.Name
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := pkg + "." + d.Name.Name
				if d.Recv != nil {
					name = pkg + "." + receiver(d.Recv.List[0].Type) + "." + d.Name.Name
				} else if f.test {
					have[d.Name.Name] = true
				}
				have[name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					declareSpec(have, pkg, s)
				}
			}
		}
	}
	return have
}

func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return ""
}

func declareSpec(have map[string]bool, pkg string, s ast.Spec) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			have[pkg+"."+n.Name] = true
		}
	case *ast.TypeSpec:
		name := pkg + "." + s.Name.Name
		have[name] = true
		var fields *ast.FieldList
		switch t := s.Type.(type) {
		case *ast.StructType:
			fields = t.Fields
		case *ast.InterfaceType:
			fields = t.Methods
		}
		if fields == nil {
			return
		}
		for _, f := range fields.List {
			for _, n := range f.Names {
				have[name+"."+n.Name] = true
			}
		}
	}
}

var (
	command    = regexp.MustCompile(`^(?:bin/)?banyan ([a-z-]+)(?: ([a-z-]+))?`)
	makeTarget = regexp.MustCompile(`^make ([a-z0-9-]+)`)
)

// docCommands: `banyan x` and `make x` in documents exist, in code blocks too.
func docCommands(r *repo) []string {
	uses := r.commandUses()
	var out []string
	for where, text := range r.commandLines() {
		if m := command.FindStringSubmatch(text); m != nil && !uses[m[1]] {
			out = append(out, fmt.Sprintf("%s: there is no command banyan %s", where, m[1]))
		}
		m := makeTarget.FindStringSubmatch(text)
		if m != nil && !strings.Contains("\n"+r.text["Makefile"], "\n"+m[1]+":") {
			out = append(out, fmt.Sprintf("%s: the Makefile has no target %s", where, m[1]))
		}
	}
	slices.Sort(out)
	return out
}

// commandLines are spans and lines of code blocks, by place.
func (r *repo) commandLines() map[string]string {
	out := map[string]string{}
	for i, s := range r.spans() {
		out[s.where+"#"+strconv.Itoa(i)] = s.text
	}
	for _, p := range r.paths() {
		if !isDocument(p) {
			continue
		}
		for i, line := range strings.Split(r.text[p], "\n") {
			out[fmt.Sprintf("%s:%d", p, i+1)] = strings.TrimSpace(line)
		}
	}
	return out
}

// commandUses lists the first words of the Use fields of cmd/banyan.
func (r *repo) commandUses() map[string]bool {
	uses := map[string]bool{}
	for _, f := range r.code {
		if f.dir != "cmd/banyan" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			kv, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			key, ok := kv.Key.(*ast.Ident)
			lit, isText := kv.Value.(*ast.BasicLit)
			if ok && isText && key.Name == "Use" {
				word, _, _ := strings.Cut(strings.Trim(lit.Value, `"`), " ")
				uses[word] = true
			}
			return true
		})
	}
	return uses
}
