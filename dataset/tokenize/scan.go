package tokenize

import "unicode/utf8"

// splitter cuts the next word off a text: it returns the end of the word that starts at s[i:],
// with i < len(s) and s valid UTF-8. Each is a hand-written twin of a pattern that Go's regexp
// cannot express (it has no lookahead); every pattern covers all text, so words have no gaps.
type splitter func(t *classTable, s string, i int) int

// The patterns as they stand in tokenizer.json files. Unknown patterns are refused.
const (
	patternGPT2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternL3   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|` +
		` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen2 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|` +
		` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

var splitters = map[string]splitter{
	patternGPT2:  splitGPT2,
	patternL3:    splitLlama3,
	patternQwen2: splitQwen2,
}

// splitWhole takes the text as one word: ByteLevel with use_regex false and no Split before it.
func splitWhole(_ *classTable, s string, _ int) int { return len(s) }

// splitDigit and splitDigitRun are Digits with and without individual_digits: numbers apart from
// the rest, one by one or run by run.
func splitDigit(t *classTable, s string, i int) int {
	c, n := t.at(s, i)
	if c == number {
		return i + n
	}
	return notNumbers(t, s, i+n)
}

func splitDigitRun(t *classTable, s string, i int) int {
	c, n := t.at(s, i)
	if c == number {
		return t.run(s, i+n, number)
	}
	return notNumbers(t, s, i+n)
}

func notNumbers(t *classTable, s string, i int) int {
	for i < len(s) {
		c, n := t.at(s, i)
		if c == number {
			break
		}
		i += n
	}
	return i
}

// maybeASCIIWord returns the end of a word that starts with an ASCII letter, or with one behind a
// space; 0 for any other. All patterns but Digits take it so, and most words of English are such.
func (t *classTable) maybeASCIIWord(s string, i int) int {
	if s[i] == ' ' && i+1 < len(s) {
		i++
	}
	if s[i] < utf8.RuneSelf && t.ascii[s[i]] == letter {
		return t.letters(s, i+1)
	}
	return 0
}

// splitGPT2 is patternGPT2.
func splitGPT2(t *classTable, s string, i int) int {
	if end := t.maybeASCIIWord(s, i); end > 0 {
		return end
	}
	if s[i] == '\'' {
		if end := contraction(s, i, false); end > 0 {
			return end
		}
	}
	c, n := t.at(s, i)
	if c != space {
		return t.run(s, i+n, c)
	}
	if s[i] == ' ' && i+1 < len(s) {
		if c, n := t.at(s, i+1); c != space {
			return t.run(s, i+1+n, c)
		}
	}
	return spaces(t, s, i)
}

// splitLlama3 is patternL3.
func splitLlama3(t *classTable, s string, i int) int { return splitCL100K(t, s, i, 3) }

// splitQwen2 is patternQwen2.
func splitQwen2(t *classTable, s string, i int) int { return splitCL100K(t, s, i, 1) }

// splitCL100K is the pattern both share but for how many digits make a word.
func splitCL100K(t *classTable, s string, i, digits int) int {
	if end := t.maybeASCIIWord(s, i); end > 0 {
		return end
	}
	if s[i] == '\'' {
		if end := contraction(s, i, true); end > 0 {
			return end
		}
	}
	c, n := t.at(s, i)
	switch c {
	case letter:
		return t.run(s, i+n, letter)
	case number:
		end := i + n
		for k := 1; k < digits && end < len(s); k++ {
			c, n := t.at(s, end)
			if c != number {
				break
			}
			end += n
		}
		return end
	}
	// [^\r\n\p{L}\p{N}]?\p{L}+ : one character of any other kind leads a word of letters.
	if s[i] != '\r' && s[i] != '\n' && i+n < len(s) {
		if c, m := t.at(s, i+n); c == letter {
			return t.run(s, i+n+m, letter)
		}
	}
	// " ?[^\s\p{L}\p{N}]+[\r\n]*"
	if c == other {
		return newlines(s, t.run(s, i+n, other))
	}
	if s[i] == ' ' && i+1 < len(s) {
		if c, m := t.at(s, i+1); c == other {
			return newlines(s, t.run(s, i+1+m, other))
		}
	}
	// \s*[\r\n]+ : white space up to and with the last line break of the run.
	run := t.run(s, i+n, space)
	for end := run; end > i; end-- {
		if s[end-1] == '\n' || s[end-1] == '\r' {
			return end
		}
	}
	return spaceRun(s, i, run)
}

// spaces is `\s+(?!\S)|\s+` at a character of white space.
func spaces(t *classTable, s string, i int) int {
	return spaceRun(s, i, t.run(s, i, space))
}

// spaceRun cuts a run of white space s[i:end]: before a word, the last character is left to the
// word, unless it is the only one.
func spaceRun(s string, i, end int) int {
	if end == len(s) {
		return end
	}
	last := end - 1
	for s[last]&0xC0 == 0x80 { // back to the first byte of the last character
		last--
	}
	if last == i {
		return end
	}
	return last
}

func newlines(s string, i int) int {
	for i < len(s) && (s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// contraction returns the end of 's, 't, 're, 've, 'm, 'll or 'd at s[i:], or 0. With fold, case
// is ignored as Unicode folds it: the long s (U+017F) is an s.
func contraction(s string, i int, fold bool) int {
	if i+1 >= len(s) {
		return 0
	}
	low := func(b byte) byte {
		if fold && 'A' <= b && b <= 'Z' {
			return b + 'a' - 'A'
		}
		return b
	}
	var next byte
	if i+2 < len(s) {
		next = low(s[i+2])
	}
	switch low(s[i+1]) {
	case 's', 't', 'm', 'd':
		return i + 2
	case 'r', 'v':
		if next == 'e' {
			return i + 3
		}
	case 'l':
		if next == 'l' {
			return i + 3
		}
	case 0xC5:
		if fold && next == 0xBF {
			return i + 3
		}
	}
	return 0
}
