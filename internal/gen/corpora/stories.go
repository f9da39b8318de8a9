package main

import "strings"

// scenes are the lists a story draws its middle from.
var scenes = []string{"travel", "meet", "talk", "count", "obstacle", "effort", "discover", "feel"}

// story writes one story: an opening, a wish, some scenes and an end. One in eight is long.
func story(w *writer) string {
	w.cast()
	parts := []string{w.paragraph(append(w.sentences("open", 1),
		append(w.sentences("weather", w.rng.between(0, 1)),
			w.sentences("goalline", w.rng.between(0, 1))...)...))}
	last, length := "", w.rng.between(2, 9)
	if w.rng.between(0, 7) == 0 {
		length *= 2
	}
	for range length {
		scene := scenes[w.rng.between(0, len(scenes)-1)]
		if scene == last {
			continue
		}
		last = scene
		lines := w.sentences(scene, w.rng.between(1, 3))
		if w.rng.between(0, 3) == 0 {
			lines = append(lines, w.sentences("weather", 1)...)
		}
		if len(lines) > 0 {
			parts = append(parts, w.paragraph(lines))
		}
	}
	parts = append(parts, w.paragraph(w.sentences("end", w.rng.between(1, 2))))
	return strings.Join(parts, "\n")
}

// cast settles who the document is about, so that names, pronouns and things agree throughout.
func (w *writer) cast() {
	w.numbers()
	w.person("name", "")
	w.person("friend", "f")
	w.bind("mood", "mood", "")
	w.bind("mood2", "mood", "mood")
	for _, name := range []string{"trade", "thing", "animal", "town"} {
		w.bind(name, name, "")
	}
	w.bind("other", "trade", "trade")
	w.bind("goal", "goal", "")
}

// person settles a name and its pronouns, which prefix sets apart.
func (w *writer) person(name, prefix string) {
	list, words := "girl", []string{"she", "her", "her"}
	if w.lang == "zh" {
		words = []string{"她", "她", "她的"}
	}
	if w.rng.between(0, 1) == 1 {
		list, words = "boy", []string{"he", "him", "his"}
		if w.lang == "zh" {
			words = []string{"他", "他", "他的"}
		}
	}
	unlike := ""
	if name == "friend" {
		unlike = "name"
	}
	w.bind(name, list, unlike)
	for i, role := range []string{"sub", "obj", "pos"} {
		w.vars[prefix+role] = words[i]
	}
}
