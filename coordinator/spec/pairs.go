package spec

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// pairs is a message of a name and a value. A list of them is written in YAML as a mapping, and
// kept in the order of the names.
type pairs struct {
	name, value protoreflect.Name // its fields
	what        string            // for people, as the next two
	key         string
	example     string
	read        func(p *parser, n *yaml.Node, path, key string) (protoreflect.Value, bool)
	style       yaml.Style // of the mapping when it is written
}

// pairsOf is what a list of pairs consists of, nil for every other field.
func pairsOf(f protoreflect.FieldDescriptor) *pairs {
	if !f.IsList() || f.Message() == nil {
		return nil
	}
	switch f.Message().Name() {
	case "NamedWeight":
		return &pairs{name: "source", value: "weight", what: "sources to weights",
			key: "the name of a source", example: "{wiki-zh: 0.3, books-en: 0.7}",
			read: (*parser).weight, style: yaml.FlowStyle}
	case "NcclSetting":
		return &pairs{name: "name", value: "value", what: "variables of NCCL to values",
			key: "the name of a variable", example: "{NCCL_SOCKET_IFNAME: eth0}",
			read: (*parser).setting}
	}
	return nil
}

// pairs fills a list of pairs from a mapping, in the order of the names.
func (p *parser) pairs(n *yaml.Node, path string, list protoreflect.List, of *pairs) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, path, "write "+of.example, "found %s, wanted a mapping of %s", describe(n), of.what)
		return
	}
	type entry struct {
		name  string
		value protoreflect.Value
	}
	var entries []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag != "!!str":
			p.fail(key, path, "write "+of.key, "found %s as a key", describe(key))
			continue
		case slices.ContainsFunc(entries, func(e entry) bool { return e.name == key.Value }):
			p.fail(key, at, "remove one of the two", "given twice")
			continue
		}
		p.nodes[at] = value
		if v, ok := of.read(p, value, at, key.Value); ok {
			entries = append(entries, entry{key.Value, v})
		} else {
			p.bad[path] = true
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for _, e := range entries {
		m := list.AppendMutable().Message()
		fields := m.Descriptor().Fields()
		m.Set(fields.ByName(of.name), protoreflect.ValueOfString(e.name))
		m.Set(fields.ByName(of.value), e.value)
	}
}

// weight reads the weight of a source.
func (p *parser) weight(n *yaml.Node, path, _ string) (protoreflect.Value, bool) {
	return p.number(n, path)
}

// setting reads the value of a variable: text, or digits, which need no quotes.
func (p *parser) setting(n *yaml.Node, path, name string) (protoreflect.Value, bool) {
	if looksSecret(name) {
		p.fail(n, path, "remove it", "secrets never stand in a spec")
		return protoreflect.Value{}, false
	}
	switch {
	case n.Tag == "!!null":
		return p.wrong(n, path, "a value", "write it, or remove the variable")
	case plain(n) && n.Tag == "!!int":
		return protoreflect.ValueOfString(n.Value), true
	}
	return p.text(n, path)
}

// formatPairs writes what pairs reads.
func formatPairs(list protoreflect.List, of *pairs) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: of.style}
	for i := range list.Len() {
		m := list.Get(i).Message()
		fields := m.Descriptor().Fields()
		name, value := m.Get(fields.ByName(of.name)), fields.ByName(of.value)
		out.Content = append(out.Content, textNode(name.String()),
			formatScalar(m.Get(value), value))
	}
	return out
}
