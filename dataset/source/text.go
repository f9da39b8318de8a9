package source

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Normalizations are the steps that a source's normalize list may name.
var Normalizations = []string{"nfc", "nfd", "nfkc", "nfkd", "lf"}

// lf makes every end of line a single newline.
var lf = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// normalizer is a list of steps as one function; nil for none.
func normalizer(steps []string) (func(string) string, error) {
	forms := map[string]func(string) string{"nfc": norm.NFC.String, "nfd": norm.NFD.String,
		"nfkc": norm.NFKC.String, "nfkd": norm.NFKD.String, "lf": lf.Replace}
	var chain []func(string) string
	for _, step := range steps {
		f := forms[step]
		if f == nil {
			return nil, fmt.Errorf("normalize: there is no step %q: write some of %s", step,
				strings.Join(Normalizations, ", "))
		}
		chain = append(chain, f)
	}
	if len(chain) == 0 {
		return nil, nil
	}
	return func(text string) string {
		for _, f := range chain {
			text = f(text)
		}
		return text
	}, nil
}

// parse turns a record as it stands in the file into the text of a document; "" is none.
type parse func(raw []byte) (string, *problem)

// parserOf is how records of a file are read.
func (s *Source) parserOf(f *file) parse {
	read := func(raw []byte) (string, *problem) { return string(raw), nil }
	switch {
	case f.format == pb.Format_JSONL:
		read = func(raw []byte) (string, *problem) { return parseRecord(raw, s.path) }
	case f.document == pb.Document_LINE || f.document == pb.Document_PARAGRAPH:
		read = withoutCR
	}
	return func(raw []byte) (string, *problem) {
		if f.format != pb.Format_PARQUET && isBlank(raw) {
			return "", nil
		}
		if at := invalidUTF8(raw); at >= 0 {
			if !s.replace {
				return "", &problem{at: at, what: "invalid UTF-8", fix: fixUTF8}
			}
			raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
		}
		text, bad := read(raw)
		if bad == nil && s.normalize != nil {
			text = s.normalize(text)
		}
		return text, bad
	}
}

// withoutCR is a record that is its text, but for the rest of the end of its last line.
func withoutCR(raw []byte) (string, *problem) {
	return string(bytes.TrimSuffix(raw, []byte("\r"))), nil
}

// invalidUTF8 returns the index of the first byte that is not part of a character, or -1. It is
// quicker than utf8.Valid where most characters have three bytes, as Chinese ones do.
func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		for i+8 <= len(b) && binary.LittleEndian.Uint64(b[i:])&highs == 0 {
			i += 8
		}
		for i+4 <= len(b) && isThree(binary.LittleEndian.Uint32(b[i:])) {
			i += 3
		}
		if i == len(b) {
			break
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// isThree answers whether the lower three bytes of x, the lowest first, are a character. Of those
// that begin with E0 and ED it leaves the question open: not all second bytes are allowed there.
func isThree(x uint32) bool {
	first := byte(x)
	return x&0xC0C0F0 == 0x8080E0 && first != 0xE0 && first != 0xED
}
