package source

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseRecord(t *testing.T) {
	deep := strings.Repeat("[", 9999) + strings.Repeat("]", 9999)
	for _, c := range []struct{ line, field, want string }{
		{`{"text":"hi"}`, "text", "hi"},
		{" {\t\"a\" : [1, -2.5e+3, {\"b\":null}] , \"text\" : \"x\" , \"z\":true} \r", "text", "x"},
		{`{"text":"a\"\\\/\b\f\n\r\té\u4e2d\ud83d\ude00"}`, "text", "a\"\\/\b\f\n\r\té中😀"},
		{`{"te\u0078t":"escaped key"}`, "text", "escaped key"},
		{`{"Text":"no","text":"yes"}`, "text", "yes"},
		{`{"meta":{"text":"inner"},"text":"outer"}`, "text", "outer"},
		{`{"":"empty name"}`, "", "empty name"},
		{`{"text":""}`, "text", ""},
		{`{"正文":"内容"}`, "正文", "内容"},
		{`{"x":` + deep + `,"text":"deep"}`, "text", "deep"},
		{`{"\ud800":1,"text":"odd key"}`, "text", "odd key"},
	} {
		got, err := ParseRecord([]byte(c.line), c.field)
		if err != nil || got != c.want {
			t.Errorf("%.60s: got %q, %v; want %q", c.line, got, err, c.want)
		}
	}
}

func TestParseRecordSaysWhatIsWrong(t *testing.T) {
	deep := strings.Repeat("[", 10000) + strings.Repeat("]", 10000)
	for _, c := range []struct {
		line, want string
		at         int
	}{
		{`"text"`, "not a JSON object", 0},
		{`[1]`, "not a JSON object", 0},
		{"\xef\xbb\xbf{\"text\":\"bom\"}", "a byte order mark", 0},
		{`{"text":"a"`, "ends too early", 11},
		{`{"text":"a`, "ends too early", 10},
		{`{"text":"a"} x`, "data after", 13},
		{`{"text" "a"}`, "no colon", 8},
		{`{"text":"a" "b":1}`, "no comma", 12},
		{`{"text":"a",}`, "key is missing", 12},
		{`{"a":[1,]}`, "not a JSON value", 8},
		{`{"a":[1 2]}`, "no comma", 8},
		{`{"a":tru}`, "not a JSON value", 8},
		{`{"a":01}`, "no comma", 6},
		{`{"a":1.}`, "not a JSON number", 7},
		{`{"a":-}`, "not a JSON number", 6},
		{`{"a":1e+}`, "not a JSON number", 8},
		{`{"a":"\x"}`, "bad escape", 6},
		{`{"a":"\u12g4"}`, "bad escape", 6},
		{"{\"a\":\"\x01\"}", "control character", 6},
		{`{"a":` + deep + `}`, "nested too deeply", 10004},
		{"{\"text\":\"a\xff\"}", "invalid UTF-8", 10},
		{"{\"text\":\"\xe4\xb8\"}", "invalid UTF-8", 9},
		{"{\"text\":\"\xed\xa0\x80\"}", "invalid UTF-8", 9},
		{`{"body":"a","id":1}`, `no field "text"`, 0},
		{`{}`, `no field "text"`, 0},
		{`{"text":12}`, "is a number, not a string", 8},
		{`{"text":null}`, "is null", 8},
		{`{"text":["a"]}`, "is an array", 8},
		{`{"text":{}}`, "is an object", 8},
		{`{"text":false}`, "is a boolean", 8},
		{`{"text":"a","text":"b"}`, "appears twice", 12},
		{`{"text":"\ud800"}`, "half a surrogate pair", 8},
		{`{"text":"\ud800\n"}`, "half a surrogate pair", 8},
		{`{"text":"\ud800\u0041"}`, "half a surrogate pair", 8},
		{`{"text":"\udc00"}`, "half a surrogate pair", 8},
	} {
		text, got := ParseRecord([]byte(c.line), "text")
		var err *problem
		if !errors.As(got, &err) {
			t.Errorf("%.60q: %v, accepted as %q", c.line, got, text)
			continue
		}
		if !strings.Contains(err.what, c.want) || err.at != c.at || err.fix == "" {
			t.Errorf("%.60q: got %v; want %q at byte %d and a fix", c.line, err, c.want, c.at)
		}
	}
	if _, err := ParseRecord([]byte(`{"body":"a","id":1}`), "text"); err == nil ||
		!strings.Contains(err.Error(), "body, id") {
		t.Errorf("a missing field must name those that are there: %v", err)
	}
}

// FuzzParseRecord compares with encoding/json, which is laxer in three places: invalid UTF-8,
// half surrogate pairs (both become U+FFFD) and members that appear twice.
func FuzzParseRecord(f *testing.F) {
	for _, seed := range []string{
		`{"text":"hi"}`, `{"a":[1,-0.5e3,{"b":null}],"text":"\ud83d\ude00\n"}`, `{"text":1}`,
		`{"text":"\ud800"}`, `{"text":"a","text":"b"}`, "{\"text\":\"\xff\"}", `{"t\u0065xt":""}`,
		` {} `, `[[[`, `{"text":"中文"}`, `{"a":01}`, `{"a":-}`, "{\"a\":\"\x7f\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := ParseRecord(line, "text")
		var members map[string]json.RawMessage
		peer := json.Unmarshal(line, &members)
		var want string
		isString := peer == nil && len(members["text"]) > 0 && members["text"][0] == '"'
		if isString {
			if err := json.Unmarshal(members["text"], &want); err != nil {
				t.Fatal(err)
			}
		}
		if err == nil {
			if !isString || got != want || !utf8.ValidString(got) {
				t.Fatalf("got %q; encoding/json %q, %v", got, want, peer)
			}
			return
		}
		if isString && utf8.Valid(line) && !strings.Contains(err.Error(), "surrogate") &&
			!strings.Contains(err.Error(), "twice") {
			t.Fatalf("refused: %v; encoding/json reads %q", err, want)
		}
	})
}

// All first and second bytes, with third ones at the bounds, between other characters and at the
// end.
func TestInvalidUTF8IsFoundWhereItStarts(t *testing.T) {
	const before, behind = "榕树is a 榕树", "树 tree of\n"
	for first := range 256 {
		for second := range 256 {
			for _, third := range []byte{'a', 0x7f, 0x80, 0xbf, 0xc0, 0xe4, 0xff} {
				b := append([]byte(before), byte(first), byte(second), third)
				n := len(b)
				b = append(b, behind...)
				for _, b := range [][]byte{b[:n], b} {
					if got, want := invalidUTF8(b), firstInvalid(b); got != want {
						t.Fatalf("%x: found at %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

func firstInvalid(b []byte) int {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func BenchmarkParseRecord(b *testing.B) {
	for name, text := range map[string]string{
		"ascii":   "The quick brown fox jumps over the lazy dog, and the banyan grew on. ",
		"chinese": "敏捷的棕色狐狸跳过懒狗，榕树独木成林。",
		"mixed":   "The quick brown fox; 敏捷的棕色狐狸。\n",
	} {
		b.Run(name, func(b *testing.B) {
			long := strings.Repeat(text, 100)
			record := map[string]any{"id": 1, "meta": []any{"a", []int{1}}, "text": long}
			line, err := json.Marshal(record)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				if _, err := ParseRecord(line, "text"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
