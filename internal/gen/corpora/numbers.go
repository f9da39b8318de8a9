package main

import "strconv"

// word writes a small number the way a story does.
func (w *writer) word(n int) string {
	if w.lang == "zh" {
		return chinese(n)
	}
	return english(n)
}

var englishSmall = []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight",
	"nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
	"eighteen", "nineteen"}

var englishTens = []string{"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy",
	"eighty", "ninety"}

// english writes 0..99.
func english(n int) string {
	if n < len(englishSmall) {
		return englishSmall[n]
	}
	if n%10 == 0 {
		return englishTens[n/10]
	}
	return englishTens[n/10] + "-" + englishSmall[n%10]
}

var chineseDigits = []string{"零", "一", "二", "三", "四", "五", "六", "七", "八", "九"}

// chinese writes 0..99 as it stands before a measure word.
func chinese(n int) string {
	switch {
	case n == 2:
		return "两"
	case n < 10:
		return chineseDigits[n]
	}
	out := "十"
	if n >= 20 {
		out = chineseDigits[n/10] + out
	}
	if n%10 != 0 {
		out += chineseDigits[n%10]
	}
	return out
}

// numbers settles a sum, a difference and a product for the next sentence. n1, n2 and sum are
// words; d1, d2, dsum, k and dprod are digits.
func (w *writer) numbers() {
	n1, n2 := w.rng.between(2, 29), w.rng.between(2, 29)
	w.vars["n1"], w.vars["n2"], w.vars["sum"] = w.word(n1), w.word(n2), w.word(n1+n2)
	d1, d2, k := w.rng.between(3, 180), w.rng.between(3, 90), w.rng.between(2, 12)
	for name, n := range map[string]int{
		"d1": d1, "d2": d2, "dsum": d1 + d2, "k": k, "dprod": d1 * k,
	} {
		w.vars[name] = strconv.Itoa(n)
	}
}
