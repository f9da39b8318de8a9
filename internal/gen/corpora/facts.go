package main

import (
	"strconv"
	"strings"
)

var topics = []string{"town", "hill", "sum", "cook", "craft"}

// facts writes one article on one subject, or in one case of five on up to four; its figures
// agree with each other.
func facts(w *writer) string {
	w.cast()
	w.geography()
	w.bind("dish", "dish", "")
	w.bind("crop", "crop", "")
	w.bind("crop2", "crop", "crop")
	w.bind("rock", "rock", "")
	w.bind("rock2", "rock", "rock")
	count := 1
	if w.rng.between(0, 4) == 0 {
		count = w.rng.between(2, 4)
	}
	var parts []string
	for range count {
		topic := topics[w.rng.between(0, len(topics)-1)]
		w.ranks(topic)
		lines := w.sentences(topic+".open", 1)
		lines = append(lines, w.sentences(topic+".fact", w.rng.between(3, 9))...)
		for len(lines) > 0 {
			n := min(len(lines), w.rng.between(2, 5))
			parts = append(parts, w.paragraph(lines[:n]))
			lines = lines[n:]
		}
	}
	return strings.Join(parts, "\n")
}

// geography settles two towns, a river, two mountains and their figures.
func (w *writer) geography() {
	coined := func() string { return w.choose("syl1") + w.choose("syl2") }
	w.vars["T"], w.vars["U"], w.vars["S"] = coined(), coined(), coined()
	w.vars["M"], w.vars["N"] = coined(), coined()
	for w.vars["U"] == w.vars["T"] {
		w.vars["U"] = coined()
	}
	for w.vars["N"] == w.vars["M"] {
		w.vars["N"] = coined()
	}
	if w.lang == "zh" {
		w.vars["T"] += "城"
		w.vars["U"] += "镇"
		w.vars["M"] += "山"
		w.vars["N"] += "峰"
		w.vars["R"] = w.choose("syl1") + w.choose("syl1") + "河"
	} else {
		w.vars["M"] = "Mount " + w.vars["M"]
		w.vars["N"] = "Mount " + w.vars["N"]
		w.vars["R"] = w.choose("syl1") + []string{"en", "a", "el", "our"}[w.rng.between(0, 3)]
	}
	year := w.rng.between(1180, 1790)
	year2 := year + w.rng.between(40, 200)
	figures := map[string]int{"year": year, "year2": year2, "years": year2 - year}
	for _, f := range []struct {
		name   string
		lo, hi int
	}{{"km", 3, 240}, {"m", 40, 900}, {"pupils", 24, 980}} {
		figures[f.name] = w.rng.between(f.lo, f.hi)
	}
	figures["pop"], figures["pop2"] = w.rng.between(900, 96000), w.rng.between(900, 96000)
	figures["h"] = w.rng.between(700, 4200)
	figures["h2"] = figures["h"] + w.rng.between(1, 300)*(1-2*w.rng.between(0, 1))
	figures["hd"] = max(figures["h"]-figures["h2"], figures["h2"]-figures["h"])
	for name, n := range figures {
		w.vars[name] = strconv.Itoa(n)
	}
	w.compare("moreless", figures["pop"] > figures["pop2"], "more", "less", "多", "少")
	w.compare("bigger", figures["pop"] > figures["pop2"], "larger", "smaller", "大", "小")
	w.compare("taller", figures["h"] > figures["h2"], "higher", "lower", "高", "低")
}

func (w *writer) compare(name string, greater bool, en, enNot, zh, zhNot string) {
	words := []string{en, enNot}
	if w.lang == "zh" {
		words = []string{zh, zhNot}
	}
	w.vars[name] = words[1]
	if greater {
		w.vars[name] = words[0]
	}
}

// ranks settles the place of the subject among its like.
func (w *writer) ranks(topic string) {
	best := map[string]string{"en town": "largest", "en hill": "highest", "zh town": "大",
		"zh hill": "高"}[w.lang+" "+topic]
	orders := []string{"", "second ", "third ", "fourth "}
	if w.lang == "zh" {
		orders = []string{"最", "第二", "第三", "第四"}
	}
	w.vars["rank"] = orders[w.rng.between(0, len(orders)-1)] + best
}
