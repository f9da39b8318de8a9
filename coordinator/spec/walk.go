package spec

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// message fills m from a mapping, field by field.
func (p *parser) message(n *yaml.Node, path string, m protoreflect.Message) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, path, "write its fields as `key: value`", "found %s, wanted a mapping with %s",
			describe(n), strings.Join(head(keysOf(m, path), 6), ", "))
		return
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		at := join(path, name)
		if key.Kind != yaml.ScalarNode || key.Tag != "!!str" {
			p.fail(key, path, "write a field name", "found %s as a key", describe(key))
			continue
		}
		if before := first[name]; before != nil {
			p.fail(key, at, "remove one of the two", "given twice, first on line %d", before.Line)
			continue
		}
		first[name] = key
		if path == "" && name == "apiVersion" {
			p.nodes[at] = value
			continue
		}
		field := m.Descriptor().Fields().ByTextName(name)
		if field == nil || !slices.Contains(keysOf(m, path), name) {
			p.unknown(key, value, path, name, keysOf(m, path))
			continue
		}
		p.nodes[at] = value
		p.field(value, at, m, field)
	}
}

// field fills one field of m.
func (p *parser) field(n *yaml.Node, path string, m protoreflect.Message,
	field protoreflect.FieldDescriptor) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		p.fail(n, path, "give a value or remove the key", "has no value")
		return
	}
	switch {
	case path == "stores":
		p.stores(n, m.Mutable(field).List())
	case pairsOf(field) != nil:
		p.pairs(n, path, m.Mutable(field).List(), pairsOf(field))
	case field.IsList():
		p.list(n, path, m.Mutable(field).List(), field)
	case field.Kind() == protoreflect.MessageKind && compact(field) != nil:
		if v := compact(field)(p, n, path); v != nil {
			m.Set(field, protoreflect.ValueOfMessage(v))
		}
	case field.Kind() == protoreflect.MessageKind:
		p.message(n, path, m.Mutable(field).Message())
	default:
		if v, ok := p.scalar(n, path, field); ok {
			m.Set(field, v)
		}
	}
}

func (p *parser) list(n *yaml.Node, path string, list protoreflect.List,
	field protoreflect.FieldDescriptor) {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, path, "write a list: `- ...` lines or [a, b]", "found %s, wanted a list", describe(n))
		return
	}
	for i, element := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		p.nodes[at] = element
		if field.Kind() == protoreflect.MessageKind {
			// Appended before it is filled: indexes of the list and of paths must agree.
			p.message(element, at, list.AppendMutable().Message())
			continue
		}
		if v, ok := p.scalar(element, at, field); ok {
			list.Append(v)
		} else {
			p.bad[path] = true
		}
	}
}

// stores fills the list of stores from a mapping of their names, in the order of the names.
func (p *parser) stores(n *yaml.Node, list protoreflect.List) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "stores", "write `stores: {default: {endpoint: ...}}`",
			"found %s, wanted a mapping of names to stores", describe(n))
		return
	}
	type entry struct{ key, value *yaml.Node }
	var entries []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag != "!!str" {
			p.fail(key, "stores", "write a name", "found %s as the name of a store", describe(key))
			continue
		}
		if slices.ContainsFunc(entries, func(e entry) bool { return e.key.Value == key.Value }) {
			p.fail(key, join("stores", key.Value), "remove one of the two", "given twice")
			continue
		}
		entries = append(entries, entry{key, n.Content[i+1]})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key.Value, b.key.Value) })
	for _, e := range entries {
		at := join("stores", e.key.Value)
		p.nodes[at] = e.value
		store := list.AppendMutable().Message()
		name := store.Descriptor().Fields().ByName("name")
		store.Set(name, protoreflect.ValueOfString(e.key.Value))
		p.message(e.value, at, store)
	}
}

// unknown explains a key that is no field: a secret, a field of a later version, a slip.
func (p *parser) unknown(key, value *yaml.Node, path, name string, keys []string) {
	at := join(path, name)
	if p.sets[value] != "" {
		key = value // the key was made by the override
	}
	if looksSecret(name) {
		p.fail(key, at, "remove it; set `credentials` to env, profile:NAME or file:PATH",
			"secrets never stand in a spec")
		return
	}
	if note, ok := laterKeys[generic(at)]; ok {
		p.fail(key, at, note, "not supported in this version")
		return
	}
	fix := "known here: " + strings.Join(keys, ", ")
	if near := closest(name, keys); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
		p.bad[join(path, near)] = true // it is not missing, it is misspelled
	}
	p.fail(key, at, fix, "unknown field")
}

// keysOf lists the keys that a message takes in YAML. A store has its name as its key.
func keysOf(m protoreflect.Message, path string) []string {
	var keys []string
	if path == "" {
		keys = append(keys, "apiVersion")
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		name := fields.Get(i).TextName()
		if name == "name" && strings.HasPrefix(path, "stores.") {
			continue
		}
		keys = append(keys, name)
	}
	return keys
}

// join makes the path of a field. Keys are shortened: they come from the user.
func join(path, key string) string {
	key = short(key)
	if path == "" {
		return key
	}
	return path + "." + key
}

// generic replaces indexes in a path: data.sources[3].uri is data.sources[].uri.
func generic(path string) string {
	var b strings.Builder
	inside := false
	for _, r := range path {
		if r == ']' {
			inside = false
		}
		if !inside {
			b.WriteRune(r)
		}
		if r == '[' {
			inside = true
		}
	}
	return b.String()
}

func head(s []string, n int) []string {
	if len(s) > n {
		return append(slices.Clone(s[:n]), "...")
	}
	return s
}
