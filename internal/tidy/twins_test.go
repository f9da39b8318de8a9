package tidy

import (
	"fmt"
	"strings"
)

// The two READMEs tell the same: headings of the same levels in the same order, and the same code
// blocks, letter by letter.
const english, chinese = "README.md", "README.zh-CN.md"

func readmeTwins(r *repo) []string {
	a, okA := r.text[english]
	b, okB := r.text[chinese]
	if !okA || !okB {
		return []string{fmt.Sprintf("want both %s and %s", english, chinese)}
	}
	headsA, blocksA := outline(a)
	headsB, blocksB := outline(b)
	out := differ("heading level", headsA, headsB)
	return append(out, differ("code block", blocksA, blocksB)...)
}

// outline lists the levels of a document's headings and its code blocks.
func outline(text string) (levels, blocks []string) {
	var block *strings.Builder
	for line := range strings.Lines(text) {
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence && block == nil:
			block = &strings.Builder{}
			block.WriteString(line)
		case fence:
			blocks = append(blocks, block.String())
			block = nil
		case block != nil:
			block.WriteString(line)
		case strings.HasPrefix(line, "#"):
			levels = append(levels, line[:len(line)-len(strings.TrimLeft(line, "#"))])
		}
	}
	return levels, blocks
}

func differ(what string, a, b []string) []string {
	var out []string
	if len(a) != len(b) {
		out = append(out, fmt.Sprintf("%s has %d of %s, %s has %d", english, len(a), what, chinese,
			len(b)))
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			out = append(out, fmt.Sprintf("%s %d differs:\n%s\n%s", what, i+1, a[i], b[i]))
			break
		}
	}
	return out
}
