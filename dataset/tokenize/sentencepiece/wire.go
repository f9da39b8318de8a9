package sentencepiece

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message on the wire.
type field struct {
	number      protowire.Number
	kind        protowire.Type
	scalarValue uint64
	bytes       []byte
	end         int // offset of what follows it in its message
}

// fields calls each for the fields of a message, in order. Groups, which the format never had, are
// invalid.
func fields(place string, data []byte, each func(*field) error) error {
	for at := 0; at < len(data); {
		f := field{}
		var n int
		f.number, f.kind, n = protowire.ConsumeTag(data[at:])
		if n < 0 {
			return broken(place, at, n)
		}
		at += n
		switch f.kind {
		case protowire.VarintType:
			f.scalarValue, n = protowire.ConsumeVarint(data[at:])
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data[at:])
			f.scalarValue = uint64(v)
		case protowire.Fixed64Type:
			f.scalarValue, n = protowire.ConsumeFixed64(data[at:])
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(data[at:])
		default:
			return fmt.Errorf("%s: byte %d: wire type %d: %w", place, at, f.kind, ErrInvalid)
		}
		if n < 0 {
			return broken(place, at, n)
		}
		at += n
		f.end = at
		if err := each(&f); err != nil {
			return err
		}
	}
	return nil
}

func broken(place string, at, n int) error {
	return fmt.Errorf("%s: byte %d: %w: %w", place, at, protowire.ParseError(n), ErrInvalid)
}

func (f *field) scalar(place string, kind protowire.Type) (uint64, error) {
	return f.scalarValue, f.want(place, kind)
}

func (f *field) flag(place string) (bool, error) {
	return f.scalarValue != 0, f.want(place, protowire.VarintType)
}

func (f *field) message(place string) ([]byte, error) {
	return f.bytes, f.want(place, protowire.BytesType)
}

func (f *field) text(place string) (string, error) {
	return string(f.bytes), f.want(place, protowire.BytesType)
}

func (f *field) want(place string, kind protowire.Type) error {
	if f.kind != kind {
		return fmt.Errorf("%s: wire type %d, not %d: %w", place, f.kind, kind, ErrInvalid)
	}
	return nil
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%s is %w", fmt.Sprintf(format, args...), ErrUnsupported)
}
