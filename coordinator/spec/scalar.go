package spec

import (
	"fmt"
	"math"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// byteFields hold sizes in bytes; all other integers are counts.
var byteFields = map[string]bool{"data.max_record": true}

// scalar reads one value of the kind its field has.
func (p *parser) scalar(n *yaml.Node, path string, field protoreflect.FieldDescriptor) (
	v protoreflect.Value, ok bool) {
	switch field.Kind() {
	case protoreflect.StringKind:
		return p.text(n, path)
	case protoreflect.BoolKind:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			return p.wrong(n, path, "true or false", "write true or false, without quotes")
		}
		return protoreflect.ValueOfBool(strings.EqualFold(n.Value, "true")), true
	case protoreflect.EnumKind:
		return p.enum(n, path, field)
	case protoreflect.DoubleKind:
		return p.number(n, path)
	case protoreflect.Uint32Kind:
		u, ok := p.whole(n, path, math.MaxUint32)
		return protoreflect.ValueOfUint32(uint32(u)), ok
	case protoreflect.Uint64Kind:
		u, ok := p.whole(n, path, math.MaxInt64)
		return protoreflect.ValueOfUint64(u), ok
	case protoreflect.Int32Kind:
		i, ok := p.signed(n, path)
		return protoreflect.ValueOfInt32(i), ok
	}
	p.fail(n, path, "", "this field cannot be set from YAML")
	return v, false
}

// wrong reports a value of another type than the field's.
func (p *parser) wrong(n *yaml.Node, path, wanted, fix string) (protoreflect.Value, bool) {
	found := describe(n)
	if strings.HasPrefix(path, "stores.") && n.Kind == yaml.ScalarNode {
		found = "another value" // I12: whatever stands here may be a secret
	}
	p.fail(n, path, fix, "found %s, wanted %s", found, wanted)
	return protoreflect.Value{}, false
}

func (p *parser) text(n *yaml.Node, path string) (protoreflect.Value, bool) {
	if n.Kind != yaml.ScalarNode {
		return p.wrong(n, path, "text", "write one value")
	}
	if n.Tag != "!!str" {
		return p.wrong(n, path, "text", "put it in quotes")
	}
	if strings.IndexFunc(n.Value, unicode.IsControl) >= 0 {
		return p.wrong(n, path, "text without control characters", "write it on one line")
	}
	return protoreflect.ValueOfString(n.Value), true
}

func (p *parser) number(n *yaml.Node, path string) (protoreflect.Value, bool) {
	if plain(n) && n.Tag != "!!str" {
		f, err := parseNumber(n.Value)
		if err == nil {
			return protoreflect.ValueOfFloat64(f), true
		}
		return p.wrong(n, path, "a finite number", "write a number such as 0.5 or 1e-4")
	}
	return p.wrong(n, path, "a number", "write a number such as 0.5 or 1e-4, without quotes")
}

// whole reads a count (10B, 1.5M, 512K) or a size in bytes (16MiB).
func (p *parser) whole(n *yaml.Node, path string, limit uint64) (uint64, bool) {
	parse, wanted, fix := parseCount, "a whole number", "write digits, or 512K, 1.5M, 10B"
	if byteFields[path] {
		parse, wanted, fix = parseBytes, "a size in bytes", "write digits, or 512KiB, 16MiB, 1GiB"
	}
	if !plain(n) {
		p.wrong(n, path, wanted, fix+", without quotes")
		return 0, false
	}
	u, err := parse(n.Value)
	if err != nil {
		p.wrong(n, path, wanted, fix)
		return 0, false
	}
	if u > limit {
		p.fail(n, path, "write less", "%s is more than the limit of %d", short(n.Value), limit)
		return 0, false
	}
	return u, true
}

func (p *parser) signed(n *yaml.Node, path string) (int32, bool) {
	digits, negative := strings.CutPrefix(n.Value, "-")
	u, err := parseCount(digits)
	if !plain(n) || err != nil || u > math.MaxInt32 {
		p.wrong(n, path, "a whole number", "write digits, with - for less than 0")
		return 0, false
	}
	if negative {
		return -int32(u), true
	}
	return int32(u), true
}

// enum reads a lower-case name of the field's enum.
func (p *parser) enum(n *yaml.Node, path string, field protoreflect.FieldDescriptor) (
	v protoreflect.Value, ok bool) {
	names := enumNames(field.Enum())
	wanted := "one of " + strings.Join(names, ", ")
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		return p.wrong(n, path, wanted, "write one of these words")
	}
	for i, name := range names {
		if n.Value == name {
			number := field.Enum().Values().Get(i + 1).Number()
			return protoreflect.ValueOfEnum(number), true
		}
	}
	if later, ok := laterValues[path]; ok {
		if note, ok := later[n.Value]; ok {
			p.fail(n, path, note, "%s is not supported in this version", n.Value)
			return v, false
		}
	}
	fix := "write " + wanted
	if near := closest(strings.ToLower(n.Value), names); near != "" {
		fix = fmt.Sprintf("did you mean %s?", near)
	}
	p.fail(n, path, fix, "%q is not known here, wanted %s", short(n.Value), wanted)
	return v, false
}

// enumNames are the YAML words of an enum: its values but the first (unspecified), lower-case.
func enumNames(e protoreflect.EnumDescriptor) []string {
	var names []string
	for i := 1; i < e.Values().Len(); i++ {
		names = append(names, strings.ToLower(string(e.Values().Get(i).Name())))
	}
	return names
}

// plain says whether a node is a scalar without quotes.
func plain(n *yaml.Node) bool {
	quoted := yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Kind == yaml.ScalarNode && n.Style&quoted == 0
}

// describe says what a node is, for people.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
	default:
		return "something else"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + short(n.Value)
	case "!!bool":
		return "the boolean " + short(n.Value)
	}
	return fmt.Sprintf("the text %q", short(n.Value))
}

// short cuts what is repeated to the user.
func short(s string) string {
	const limit = 60
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}
