package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

const committed = "../../../examples"

func TestCommittedCorporaAreWhatTheProgramWrites(t *testing.T) {
	for _, c := range corpora {
		want, err := c.generate()
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(c.file(committed))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s.jsonl differs from what the program writes: run "+
				"`go run ./internal/gen/corpora`, then ./internal/gen/tokenizer", c.name)
		}
	}
}

func TestDocumentsAreWholeAndVaried(t *testing.T) {
	everywhere := map[string]string{}
	for _, c := range corpora {
		data, err := c.generate()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		longest := 0
		for line := range bytes.Lines(data) {
			var row struct{ Text, Lang, ID string }
			if err := json.Unmarshal(line, &row); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			size := utf8.RuneCountInString(row.Text)
			longest = max(longest, size)
			if size < shortest || size > 4000 || row.Lang != c.lang {
				t.Errorf("%s: %d characters in %q", row.ID, size, row.Lang)
			}
			if strings.ContainsAny(row.Text, "{}=^") {
				t.Errorf("%s: an unfilled slot in %q", row.ID, row.Text)
			}
			if seen[row.Text] {
				t.Errorf("%s: the same text twice", row.ID)
			}
			if other := everywhere[row.Text]; other != "" {
				t.Errorf("%s: the same text as %s", row.ID, other)
			}
			seen[row.Text], everywhere[row.Text] = true, row.ID
		}
		if c.dir == "corpora" && len(seen) < 250 || longest < 500 {
			t.Errorf("%s: %d documents, the longest of %d characters", c.name, len(seen), longest)
		}
	}
}

func TestUnknownListIsAnError(t *testing.T) {
	w := &writer{lang: "en", lists: map[string][]string{}, rng: newRandom("x"),
		vars: map[string]string{}, used: map[string]bool{}}
	w.expand("a {nothing} here")
	if w.err == nil || !strings.Contains(w.err.Error(), `"nothing"`) {
		t.Errorf("error %v, want one that names the list", w.err)
	}
}

func TestSlots(t *testing.T) {
	w := &writer{lang: "en", rng: newRandom("x"), vars: map[string]string{"x": "owl"},
		lists: map[string][]string{"one": {"fox"}}, used: map[string]bool{}}
	got := w.expand("{^x} {a x} {^a x} {A one} {c=one} {c}")
	if want := "Owl an owl An owl A fox fox fox"; got != want {
		t.Errorf("expanded to %q, want %q", got, want)
	}
}

func TestNumbersInWords(t *testing.T) {
	for n, want := range map[int]string{2: "two", 13: "thirteen", 40: "forty", 58: "fifty-eight"} {
		if got := english(n); got != want {
			t.Errorf("english(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{2: "两", 10: "十", 12: "十二", 58: "五十八"} {
		if got := chinese(n); got != want {
			t.Errorf("chinese(%d) = %q, want %q", n, got, want)
		}
	}
}
