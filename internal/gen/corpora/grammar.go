package main

import (
	"embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed grammar
var grammarFiles embed.FS

// readGrammar returns the lists of one language: name -> entries, in the order of the file.
func readGrammar(lang string) (map[string][]string, error) {
	data, err := grammarFiles.ReadFile("grammar/" + lang + ".txt")
	if err != nil {
		return nil, fmt.Errorf("read grammar: %w", err)
	}
	lists := map[string][]string{}
	name := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "== "):
			name = line[len("== "):]
		default:
			lists[name] = append(lists[name], line)
		}
	}
	return lists, nil
}

// writer makes one document. The first error stays in err.
type writer struct {
	lang  string
	lists map[string][]string
	rng   *random
	vars  map[string]string // words that this document has settled
	used  map[string]bool   // templates that this document has used
	err   error
}

// choose returns a random entry of a list, unexpanded.
func (w *writer) choose(list string) string {
	entries := w.lists[list]
	if len(entries) == 0 {
		if w.err == nil {
			w.err = fmt.Errorf("grammar %s has no list %q", w.lang, list)
		}
		return ""
	}
	return entries[w.rng.between(0, len(entries)-1)]
}

// bind settles a word; unlike another settled word, if that is named.
func (w *writer) bind(name, list, unlike string) {
	for range 100 {
		w.vars[name] = w.expand(w.choose(list))
		if unlike == "" || w.vars[name] != w.vars[unlike] {
			return
		}
	}
}

// expand fills in a template: {x} is a settled word, or else a random entry of list x.
func (w *writer) expand(template string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(template, "{")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		slot, after, _ := strings.Cut(rest, "}")
		out.WriteString(w.slot(slot))
		template = after
	}
}

// slot expands what stands between braces: [^] [a ] name [=list].
func (w *writer) slot(slot string) string {
	upper := strings.HasPrefix(slot, "^") || strings.HasPrefix(slot, "A ")
	slot = strings.TrimPrefix(slot, "^")
	article := strings.HasPrefix(slot, "a ") || strings.HasPrefix(slot, "A ")
	if article {
		slot = slot[len("a "):]
	}
	name, list, binds := strings.Cut(slot, "=")
	if binds {
		w.bind(name, list, "")
	}
	word, settled := w.vars[name]
	if !settled {
		word = w.expand(w.choose(name))
	}
	if article {
		word = withArticle(word)
	}
	if upper {
		first, size := utf8.DecodeRuneInString(word)
		word = string(unicode.ToUpper(first)) + word[size:]
	}
	return word
}

func withArticle(word string) string {
	if word != "" && strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}

// sentences expands up to count entries of a list that this document has not used.
func (w *writer) sentences(list string, count int) []string {
	var fresh, out []string
	for _, template := range w.lists[list] {
		if !w.used[template] {
			fresh = append(fresh, template)
		}
	}
	if len(w.lists[list]) == 0 {
		w.choose(list) // records the error
	}
	for i := range min(count, len(fresh)) {
		j := w.rng.between(i, len(fresh)-1)
		fresh[i], fresh[j] = fresh[j], fresh[i]
		w.used[fresh[i]] = true
		w.numbers()
		s := w.expand(fresh[i])
		if first, size := utf8.DecodeRuneInString(s); unicode.IsLower(first) {
			s = string(unicode.ToUpper(first)) + s[size:]
		}
		out = append(out, s)
	}
	return out
}

// paragraph joins sentences as the language does.
func (w *writer) paragraph(sentences []string) string {
	if w.lang == "zh" {
		return strings.Join(sentences, "")
	}
	return strings.Join(sentences, " ")
}
