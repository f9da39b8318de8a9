package spec

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mostNames bounds how many elements of a list a message names.
const mostNames = 8

// override puts one "path=value" of --set into the tree, before it is walked, so that it is
// checked like the file. The value is YAML: `resources.workers=2..4`, `train.optimizer={lr: 1e-5}`.
// A list element goes by index or, among named things, by name: data.sources[0].weight,
// data.sources.wiki-zh.weight.
func (p *parser) override(arg string) {
	path, value, found := strings.Cut(arg, "=")
	path = strings.TrimSpace(path)
	at := &yaml.Node{}
	p.sets[at], p.fields[path] = path, path // until the field is known
	if !found || path == "" {
		p.sets[at] = "..."
		p.fail(at, "", "write --set path=value, such as --set train.steps=80",
			"an override needs a path and a value")
		return
	}
	node := p.overrideValue(at, path, value)
	if node == nil {
		return
	}
	where, field := p.root, ""
	steps := strings.Split(strings.ReplaceAll(path, "[", ".["), ".")
	for i, step := range steps {
		last := i == len(steps)-1
		slot, name, why := slotOf(where, step)
		if why != "" {
			p.fail(at, path, "name a field that the spec can have", "%s", why)
			return
		}
		if field = strings.TrimPrefix(field+name, "."); last {
			p.fields[path] = field
			*slot = node
			return
		}
		if (*slot).Kind == yaml.ScalarNode && (*slot).Tag == "!!null" {
			*slot = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			p.sets[*slot] = path
		}
		where = *slot
	}
}

// overrideValue parses the right-hand side and marks all of it as coming from --set.
func (p *parser) overrideValue(at *yaml.Node, path, value string) *yaml.Node {
	if len(value) > MaxBytes {
		p.fail(at, path, "put it into the file", "the value is too long")
		return nil
	}
	var doc yaml.Node
	if err := yaml.Load([]byte(value), &doc); err != nil || len(doc.Content) == 0 {
		if strings.TrimSpace(value) != "" {
			p.fail(at, path, "quote it for the shell and for YAML: --set 'path=\"a: b\"'",
				"the value is not valid YAML")
			return nil
		}
		doc.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!null"}}
	}
	sub := &parser{file: p.file, root: doc.Content[0], bad: map[string]bool{}}
	sub.refuseAliases()
	if len(sub.errs) > 0 {
		p.fail(at, path, sub.errs[0].Fix, "%s", sub.errs[0].Message)
		return nil
	}
	p.markSet(doc.Content[0], path)
	return doc.Content[0]
}

func (p *parser) markSet(n *yaml.Node, path string) {
	p.sets[n] = path
	for _, child := range n.Content {
		p.markSet(child, path)
	}
}

// slotOf finds where a step of a path leads from a node, making a mapping entry that is missing,
// and how the path of a field says it.
func slotOf(n *yaml.Node, step string) (slot **yaml.Node, name, why string) {
	if step == "" {
		return nil, "", "the path has an empty step"
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return &n.Content[i+1], "." + step, ""
			}
		}
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: step, Line: n.Line,
			Column: n.Column}
		n.Content = append(n.Content, key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"})
		return &n.Content[len(n.Content)-1], "." + step, ""
	case yaml.SequenceNode:
		text := strings.Trim(step, "[]")
		if i, err := strconv.Atoi(text); err == nil && i >= 0 && i < len(n.Content) {
			return &n.Content[i], fmt.Sprintf("[%d]", i), ""
		}
		var names []string
		for i, element := range n.Content {
			name := mappingValue(element, "name")
			if name != nil && name.Value == text {
				return &n.Content[i], fmt.Sprintf("[%d]", i), ""
			}
			if name != nil && len(names) < mostNames {
				names = append(names, short(name.Value))
			}
		}
		why = fmt.Sprintf("the list has no element %q, it has %d", text, len(n.Content))
		if len(names) > 0 {
			why += ": " + strings.Join(names, ", ")
		}
		return nil, "", why
	}
	return nil, "", fmt.Sprintf("%q is looked for in %s, which has no fields", step, describe(n))
}

func mappingValue(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
