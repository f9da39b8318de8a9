package sentencepiece

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// modelOf writes a model of pieces and of the fields of trainer_spec given as number, value.
func modelOf(pieces []Piece, trainer ...uint64) []byte {
	var out []byte
	for _, p := range pieces {
		var b []byte
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendString(b, p.Text)
		b = protowire.AppendTag(b, 2, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, 0)
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(p.Type))
		out = protowire.AppendTag(out, 1, protowire.BytesType)
		out = protowire.AppendBytes(out, b)
	}
	var spec []byte
	for i := 0; i+1 < len(trainer); i += 2 {
		spec = protowire.AppendTag(spec, protowire.Number(trainer[i]), protowire.VarintType)
		spec = protowire.AppendVarint(spec, trainer[i+1])
	}
	out = protowire.AppendTag(out, 2, protowire.BytesType)
	return protowire.AppendBytes(out, spec)
}

func TestI13_BrokenModelsAreNamed(t *testing.T) {
	unk := Piece{Text: "<unk>", Type: Unknown}
	good, err := os.ReadFile("testdata/bpe.model")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		is   error
		want string
	}{
		"empty": {nil, ErrUnsupported, "without pieces"},
		"cut":   {good[:len(good)/2], ErrInvalid, "byte"},
		"noise": {[]byte("not a model at all"), ErrInvalid, ""},
		"twice": {modelOf([]Piece{unk, {Text: "a", Type: Normal}, {Text: "a", Type: Normal}}),
			ErrInvalid, "pieces[2]"},
		"no unknown": {modelOf([]Piece{{Text: "a", Type: Normal}}), ErrInvalid, "UNKNOWN"},
		"two":        {modelOf([]Piece{unk, {Text: "b", Type: Unknown}}), ErrInvalid, "second"},
		"empty text": {modelOf([]Piece{unk, {Type: Normal}}), ErrInvalid, "pieces[1]"},
		"long": {modelOf([]Piece{unk, {Text: strings.Repeat("a", maxPieceBytes), Type: Normal}}),
			ErrInvalid, "too long"},
		"not utf-8":   {modelOf([]Piece{unk, {Text: "\xff", Type: Normal}}), ErrUnsupported, "UTF-8"},
		"type":        {modelOf([]Piece{unk, {Text: "a", Type: 9}}), ErrUnsupported, "type 9"},
		"word model":  {modelOf([]Piece{unk}, 3, 3), ErrUnsupported, "model_type 3"},
		"stray byte":  {modelOf([]Piece{unk, {Text: "<0x41>", Type: Byte}}), ErrInvalid, "byte_fallback"},
		"bytes short": {modelOf([]Piece{unk}, 35, 1), ErrInvalid, "<0x00>"},
		"many long":   {modelOf(longPieces(1100)), ErrInvalid, "pieces[1049] "},
		"nested":      {modelOf(nestedPieces(maxNested + 1)), ErrUnsupported, "begin with one another"},
		"bad byte": {modelOf([]Piece{unk, {Text: "<0x4>", Type: Byte}}, 35, 1), ErrInvalid,
			"<0x00> to"},
	} {
		_, err := Parse(c.data)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %v with %q", name, err, c.is, c.want)
		}
	}
}

// longPieces are pieces of nearly the greatest size.
func longPieces(n int) []Piece {
	list := []Piece{{Text: "<unk>", Type: Unknown}}
	for i := range n {
		list = append(list, Piece{Type: Normal,
			Text: strings.Repeat("a", maxPieceBytes-9) + fmt.Sprintf("%08d", i)})
	}
	return list
}

// nestedPieces are user-defined pieces that begin with one another.
func nestedPieces(n int) []Piece {
	list := []Piece{{Text: "<unk>", Type: Unknown}}
	for i := range n {
		list = append(list, Piece{Text: strings.Repeat("x", i+1), Type: UserDefined})
	}
	return list
}

func TestMerge(t *testing.T) {
	base, err := os.ReadFile("testdata/bpe.model")
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile("testdata/unigram.model")
	if err != nil {
		t.Fatal(err)
	}
	old, _ := load(t, "bpe")
	added, _ := load(t, "unigram")
	want := old.VocabSize()
	for _, p := range added.model.Pieces {
		if _, there := old.vocab.ids[p.Text]; !there && (p.Type == Normal || p.Type == UserDefined) {
			want++
		}
	}
	merged, n, err := Merge(base, other)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(merged)
	if err != nil || tok.VocabSize() != want || old.VocabSize()+n != want || n < 50 {
		t.Fatalf("%d pieces, %d new, want %d: %v", tok.VocabSize(), n, want, err)
	}
	for id := range int32(old.VocabSize()) {
		if tok.Piece(id) != old.Piece(id) {
			t.Fatalf("piece %d moved", id)
		}
	}
	again, n, err := Merge(merged, other)
	if err != nil || n != 0 || !bytes.Equal(again, merged) {
		t.Errorf("merging again added %d: %v", n, err)
	}
	chars, n, err := Merge(base, []byte("龘\n\n靐\r\n榕\n龘\n"))
	if err != nil || n < 2 || n > 3 {
		t.Fatalf("a list of characters added %d: %v", n, err)
	}
	if tok, err = Parse(chars); err != nil || tok.Piece(int32(old.VocabSize())) != "龘" {
		t.Errorf("the first new piece is %q: %v", tok.Piece(int32(old.VocabSize())), err)
	}
	if _, _, err := Merge(base, []byte("two words\n")); !errors.Is(err, ErrInvalid) ||
		!strings.Contains(err.Error(), "line 1") {
		t.Errorf("error %v", err)
	}
	if _, _, err := Merge([]byte("x"), other); err == nil {
		t.Error("merged into nonsense")
	}
}

// No file makes Parse panic, and what it accepts encodes any text.
func FuzzParse(f *testing.F) {
	for _, name := range names {
		data, err := os.ReadFile("testdata/" + name + ".model")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, " 榕树 aa<tree>\xff")
		f.Add(data[:2000], "x")
	}
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		tok, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error of no class: %v", err)
			}
			return
		}
		for _, id := range tok.Encode(nil, text) {
			if id < 0 || int(id) >= tok.VocabSize() {
				t.Fatalf("id %d of %d", id, tok.VocabSize())
			}
		}
	})
}
