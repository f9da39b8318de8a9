package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"go.yaml.in/yaml/v4"
)

// MaxBytes bounds the size of a run.yaml.
const MaxBytes = 1 << 20

// maxDepth bounds the nesting of a run.yaml; the schema itself needs five levels.
const maxDepth = 32

// APIVersion is what every run.yaml declares.
const APIVersion = "banyan/v1"

type parser struct {
	file  string
	dir   string // local paths are relative to it
	local bool   // look at local inputs
	made  bool   // the YAML is made from a message: its lines mean nothing to anyone
	root  *yaml.Node
	nodes map[string]*yaml.Node // values given, by path
	bad   map[string]bool       // paths with an error
	sets  map[*yaml.Node]string // nodes that came from --set, with its path
	// fields are the paths of the fields that --set names, by its own words: data.sources[0].uri by
	// data.sources.wiki.uri.
	fields map[string]string
	errs   Errors
}

// Parse reads a run.yaml, applies `set` overrides ("train.steps=80"), checks everything that can
// be checked without reading the inputs, and fills the defaults. filename places errors and
// anchors relative paths; local inputs must exist. The error, if any, is of type Errors.
func Parse(filename string, data []byte, set ...string) (*pb.RunSpec, error) {
	dir, err := filepath.Abs(filepath.Dir(filename))
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", filename, err)
	}
	return parse(&parser{file: filename, dir: dir, local: true}, data, set)
}

func parse(p *parser, data []byte, set []string) (*pb.RunSpec, error) {
	p.start()
	p.load(data)
	if len(p.errs) == 0 {
		p.refuseAliases()
	}
	if len(p.errs) > 0 {
		return nil, p.errs.result()
	}
	for _, s := range set {
		p.override(s)
	}
	spec := &pb.RunSpec{}
	p.message(p.root, "", spec.ProtoReflect())
	p.check(spec)
	if err := p.errs.result(); err != nil {
		return nil, err
	}
	return spec, nil
}

func (p *parser) start() {
	p.nodes = map[string]*yaml.Node{}
	p.bad = map[string]bool{}
	p.sets, p.fields = map[*yaml.Node]string{}, map[string]string{}
}

// load reads one YAML document into p.root.
func (p *parser) load(data []byte) {
	if len(data) > MaxBytes {
		p.fail(nil, "", "a run.yaml is a few kilobytes; is this the right file?",
			"the file has %d bytes, the limit is %d", len(data), MaxBytes)
		return
	}
	if at := invalidUTF8(data); at >= 0 {
		line := 1 + bytes.Count(data[:at], []byte("\n"))
		column := at - bytes.LastIndexByte(data[:at], '\n')
		p.fail(&yaml.Node{Line: line, Column: column}, "", "save the file as UTF-8",
			"byte 0x%02x is not valid UTF-8", data[at])
		return
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		p.syntax(err)
		return
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); err == io.EOF || err == nil && len(doc.Content) == 0 {
		p.fail(&yaml.Node{Line: 1, Column: 1}, "", "start it with `apiVersion: "+APIVersion+"`",
			"the file is empty")
		return
	} else if err != nil {
		p.syntax(err)
		return
	}
	if err := loader.Load(&second); err == nil {
		p.fail(&second, "", "keep one run a file", "the file holds a second YAML document")
		return
	} else if err != io.EOF {
		p.syntax(err)
		return
	}
	p.root = doc.Content[0]
}

// syntax reports what the YAML reader says, where it says it.
func (p *parser) syntax(err error) {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		p.fail(nil, "", "", "not valid YAML: %v", err)
		return
	}
	at, message := le.Mark, le.Message
	if le.ContextMark.Line > 0 {
		// Where the broken construct begins is where a person has to look.
		at = le.ContextMark
		message = le.ContextMsg + ": " + message
	}
	fix := "check quotes, brackets and indentation here and on the line before"
	if strings.Contains(message, "cannot start any token") {
		fix = "indent with spaces, not tabs; quote values that begin with @, ` or %"
	}
	var n *yaml.Node
	if at.Line > 0 {
		n = &yaml.Node{Line: at.Line, Column: max(1, at.Column)}
	}
	p.fail(n, "", fix, "not valid YAML: %s", message)
}

// refuseAliases keeps documents trees: an alias can repeat a subtree without bound, and a spec is
// short enough to be written out. It also bounds the depth of what follows.
func (p *parser) refuseAliases() {
	type item struct {
		n     *yaml.Node
		depth int
	}
	todo := []item{{p.root, 1}}
	for len(todo) > 0 {
		it := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if it.depth > maxDepth {
			p.fail(it.n, "", "remove brackets or indentation", "nested deeper than %d levels", maxDepth)
			return
		}
		if it.n.Kind == yaml.AliasNode || it.n.Anchor != "" {
			p.fail(it.n, "", "write the value out", "anchors and aliases (& and *) are not supported")
		}
		for _, child := range it.n.Content {
			todo = append(todo, item{child, it.depth + 1})
		}
	}
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
