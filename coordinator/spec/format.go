package spec

import (
	"fmt"
	"strconv"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Format writes a RunSpec as YAML, with every value it has, so that Parse reads the same RunSpec
// back. Fields that mean "not given" by being empty are left out.
func Format(s *pb.RunSpec) ([]byte, error) {
	root := formatMessage(s.ProtoReflect(), "")
	version := []*yaml.Node{textNode("apiVersion"), textNode(APIVersion)}
	root.Content = append(version, root.Content...)
	// Unfolded: a folded line is the same YAML, but no longer one line to read, grep or copy.
	b, err := yaml.Dump(root, yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("write spec as YAML: %w", err)
	}
	return b, nil
}

// Edit applies path=value changes to a spec and checks the result as Parse does. Values that were
// defaults stay as they are: an edit changes what it names, nothing else. Local inputs are not
// looked for; Resolve reads them.
func Edit(s *pb.RunSpec, set ...string) (*pb.RunSpec, error) {
	b, err := Format(s)
	if err != nil {
		return nil, err
	}
	return parse(&parser{file: "spec of " + short(s.GetName()), made: true}, b, set)
}

// Validate checks a spec that came over the network as strictly as one that came from a file.
func Validate(s *pb.RunSpec) error {
	_, err := Edit(s)
	return err
}

// zeroMeansUnset are numbers that Parse does not take as 0.
var zeroMeansUnset = map[string]bool{"train.tokens": true, "train.steps": true,
	"train.phases[].lr": true, "data.schedule[].until_step": true,
	"data.schedule[].until_tokens": true}

func formatMessage(m protoreflect.Message, path string) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		at := join(path, f.TextName())
		if path == "stores[]" && f.TextName() == "name" {
			continue
		}
		if v := formatField(m, f, at); v != nil {
			out.Content = append(out.Content, textNode(f.TextName()), v)
		}
	}
	return out
}

// formatField is the node of a field, nil where there is nothing to write.
func formatField(m protoreflect.Message, f protoreflect.FieldDescriptor, at string) *yaml.Node {
	switch {
	case f.IsList():
		list := m.Get(f).List()
		if list.Len() == 0 {
			return nil
		}
		if at == "stores" {
			return formatStores(list)
		}
		if of := pairsOf(f); of != nil {
			return formatPairs(list, of)
		}
		out := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range list.Len() {
			if f.Kind() == protoreflect.MessageKind {
				out.Content = append(out.Content, formatMessage(list.Get(i).Message(), at+"[]"))
				continue
			}
			out.Style = yaml.FlowStyle
			out.Content = append(out.Content, formatScalar(list.Get(i), f))
		}
		return out
	case f.Kind() == protoreflect.MessageKind && !m.Has(f):
		return nil
	case f.Kind() == protoreflect.MessageKind && compact(f) != nil:
		return formatCompact(m.Get(f).Message().Interface())
	case f.Kind() == protoreflect.MessageKind:
		return formatMessage(m.Get(f).Message(), at)
	case !m.Has(f) && (zeroMeansUnset[at] || f.Kind() == protoreflect.StringKind ||
		f.Kind() == protoreflect.EnumKind):
		return nil
	case byteFields[at]:
		return formatBytes(m.Get(f).Uint())
	}
	return formatScalar(m.Get(f), f)
}

// formatBytes writes a size in the largest unit that divides it.
func formatBytes(n uint64) *yaml.Node {
	tag, unit := "!!int", ""
	for _, u := range []string{"KiB", "MiB", "GiB"} {
		if n == 0 || n%(1<<10) != 0 {
			break
		}
		n, tag, unit = n>>10, "!!str", u
	}
	return scalarNode(tag, strconv.FormatUint(n, 10)+unit)
}

func formatStores(list protoreflect.List) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := range list.Len() {
		m := list.Get(i).Message()
		name := m.Get(m.Descriptor().Fields().ByName("name")).String()
		out.Content = append(out.Content, textNode(name), formatMessage(m, "stores[]"))
	}
	return out
}

func formatCompact(m any) *yaml.Node {
	switch x := m.(type) {
	case *pb.Range:
		text := strconv.FormatUint(uint64(x.Min), 10)
		if x.Min != x.Max {
			return textNode(fmt.Sprintf("%s..%d", text, x.Max))
		}
		return scalarNode("!!int", text)
	case *pb.Span:
		switch {
		case x.Steps == 0 && x.Tokens != 0:
			return textNode(strconv.FormatUint(x.Tokens, 10) + " tokens")
		case x.Steps == 0 && x.Share != 0:
			return textNode(formatPercent(x.Share))
		}
		return scalarNode("!!int", strconv.FormatUint(x.Steps, 10))
	}
	return nil
}

// formatPercent writes a share so that parsePercent reads the same float64 back.
func formatPercent(share float64) string {
	text := strconv.FormatFloat(shiftDecimal(share, 2), 'f', -1, 64)
	if back, err := parsePercent(text); err == nil && back == share {
		return text + "%"
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(share, 'e', -1, 64), "e")
	e, err := strconv.Atoi(exponent)
	if err != nil {
		return text + "%" // not a finite number; parsing it again says so
	}
	return fmt.Sprintf("%se%d%%", mantissa, e+2)
}

func formatScalar(v protoreflect.Value, f protoreflect.FieldDescriptor) *yaml.Node {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return scalarNode("!!bool", strconv.FormatBool(v.Bool()))
	case protoreflect.DoubleKind:
		return floatNode(v.Float())
	case protoreflect.EnumKind:
		value := f.Enum().Values().ByNumber(v.Enum())
		if value == nil {
			return scalarNode("!!int", strconv.Itoa(int(v.Enum())))
		}
		return textNode(strings.ToLower(string(value.Name())))
	case protoreflect.StringKind:
		return textNode(v.String())
	case protoreflect.Int32Kind:
		return scalarNode("!!int", strconv.FormatInt(v.Int(), 10))
	}
	return scalarNode("!!int", strconv.FormatUint(v.Uint(), 10))
}

func floatNode(f float64) *yaml.Node {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.Trim(text, "0123456789-") == "" {
		return scalarNode("!!int", text)
	}
	return scalarNode("!!float", text)
}

func scalarNode(tag, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

func textNode(text string) *yaml.Node { return scalarNode("!!str", text) }
