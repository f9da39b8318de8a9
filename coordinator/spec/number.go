package spec

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"go.yaml.in/yaml/v4"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var errNumber = errors.New("not a number of this kind")

// powers are the suffixes of counts: powers of ten, as people speak of tokens.
var powers = map[byte]uint64{'K': 1e3, 'M': 1e6, 'B': 1e9, 'T': 1e12}

// parseCount reads 512, 10_000, 512K, 1.5M, 10B, 2e9. The value must be whole.
func parseCount(s string) (uint64, error) {
	s = strings.ReplaceAll(s, "_", "")
	if s == "" || len(s) > 30 {
		return 0, errNumber
	}
	scale := uint64(1)
	if k, ok := powers[s[len(s)-1]]; ok {
		scale, s = k, s[:len(s)-1]
	}
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(s), "e")
	if hasExponent {
		// Bounded by hand: a rational number of 1e999999999 would eat the machine.
		e, err := strconv.ParseUint(strings.TrimPrefix(exponent, "+"), 10, 8)
		if err != nil || e > 19 || scale != 1 {
			return 0, errNumber
		}
		scale = uint64(math.Round(math.Pow10(int(e))))
	}
	if !decimal(mantissa) {
		return 0, errNumber
	}
	r, ok := new(big.Rat).SetString(mantissa)
	if !ok {
		return 0, errNumber
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).SetUint64(scale)))
	if !r.IsInt() || !r.Num().IsUint64() {
		return 0, errNumber
	}
	return r.Num().Uint64(), nil
}

// decimal says whether s is digits with at most one point between them, without a leading zero.
func decimal(s string) bool {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || point && fraction == "" || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	return strings.Trim(whole+fraction, "0123456789") == ""
}

// parseBytes reads 4096, 512KiB, 16MiB, 1GiB.
func parseBytes(s string) (uint64, error) {
	scale := uint64(1)
	for unit, k := range map[string]uint64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if cut, ok := strings.CutSuffix(s, unit); ok {
			s, scale = cut, k
		}
	}
	s = strings.ReplaceAll(strings.TrimSpace(s), "_", "")
	if !decimal(s) || strings.Contains(s, ".") {
		return 0, errNumber
	}
	u, err := strconv.ParseUint(s, 10, 64)
	if err != nil || u > math.MaxInt64/scale {
		return 0, errNumber
	}
	return u * scale, nil
}

// parseNumber reads a finite decimal number.
func parseNumber(s string) (float64, error) {
	s = strings.ReplaceAll(s, "_", "")
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, errNumber // no 0x1p-2, no .inf, no .nan
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errNumber
	}
	return f, nil
}

// reader makes a message of one scalar; nil when it cannot.
type reader func(p *parser, n *yaml.Node, path string) protoreflect.Message

// compact is the reader of a message that is written as one scalar, or nil.
func compact(f protoreflect.FieldDescriptor) reader {
	switch f.Message().Name() {
	case "Span":
		return (*parser).span
	case "Range":
		return (*parser).rangeOf
	}
	return nil
}

// span reads 100 (steps), 5% (a share of the run) or 50M tokens.
func (p *parser) span(n *yaml.Node, path string) protoreflect.Message {
	const fix = "write a number of steps (100), a share of the run (5%) or tokens (50M tokens)"
	if plain(n) {
		percent, isShare := strings.CutSuffix(n.Value, "%")
		tokens, isTokens := strings.CutSuffix(n.Value, " tokens")
		switch {
		case isShare:
			if share, err := parsePercent(percent); err == nil {
				return (&pb.Span{Share: share}).ProtoReflect()
			}
		case isTokens:
			if u, err := parseCount(tokens); err == nil && u <= maxLength {
				return (&pb.Span{Tokens: u}).ProtoReflect()
			}
		default:
			if u, err := parseCount(n.Value); err == nil && u <= maxLength {
				return (&pb.Span{Steps: u}).ProtoReflect()
			}
		}
	}
	p.wrong(n, path, "steps, tokens or a share of the run from 0% to 100%", fix)
	return nil
}

// maxLength bounds the steps and the tokens of a run and of its spans.
const maxLength = 1 << 50

// parsePercent reads the number before %, as the nearest float64 to a hundredth of it.
func parsePercent(s string) (float64, error) {
	mantissa, exponent, _ := strings.Cut(s, "e")
	if !decimal(mantissa) {
		return 0, errNumber
	}
	e := 0
	if exponent != "" {
		var err error
		if e, err = strconv.Atoi(exponent); err != nil || e < -400 || e > 400 {
			return 0, errNumber
		}
	}
	f, err := strconv.ParseFloat(mantissa+"e"+strconv.Itoa(e-2), 64)
	if err != nil || f > 1 {
		return 0, errNumber
	}
	return f, nil
}

// shiftDecimal is f times a power of ten, taken on its shortest decimal form: a tenth of 1e-5 is
// 1e-6, where a division gives 1.0000000000000002e-06.
func shiftDecimal(f float64, places int) float64 {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	e, err := strconv.Atoi(exponent)
	if err != nil {
		return f // not finite; the checks say so
	}
	shifted, err := strconv.ParseFloat(mantissa+"e"+strconv.Itoa(e+places), 64)
	if err != nil {
		return f
	}
	return shifted
}

// rangeOf reads 3 or 2..8.
func (p *parser) rangeOf(n *yaml.Node, path string) protoreflect.Message {
	if plain(n) {
		low, high, two := strings.Cut(n.Value, "..")
		if !two {
			high = low
		}
		a, errA := parseCount(low)
		b, errB := parseCount(high)
		if errA == nil && errB == nil && a >= 1 && a <= b && b <= math.MaxUint32 {
			return (&pb.Range{Min: uint32(a), Max: uint32(b)}).ProtoReflect()
		}
	}
	p.wrong(n, path, "a number or a range from 1 up", "write 3 or 2..8")
	return nil
}
