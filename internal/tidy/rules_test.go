package tidy

import (
	"fmt"
	"strings"
	"testing"
)

// files is a small repo in memory.
type files map[string]string

const own = `"github.com/banyan-train/banyan/`

// program is a Go file that imports these paths.
func program(pkg string, imports ...string) string {
	text := "package " + pkg + "\n\n"
	for _, p := range imports {
		text += "import _ " + p + "\n"
	}
	return text
}

// tests is a test file with one function for each number of an invariant.
func tests(numbers string) string {
	text := "package a\n"
	for n := range strings.FieldsSeq(numbers) {
		text += "func TestI" + n + "_Holds() {}\n"
	}
	return text
}

func lines(n int, line string) string { return strings.Repeat(line+"\n", n) }

// TestRulesBite shows each rule a repo that breaks it, and one just beside it that does not.
func TestRulesBite(t *testing.T) {
	for i, c := range biting {
		t.Run(fmt.Sprintf("%s/%d", c.rule, i), func(t *testing.T) {
			var found []string
			for _, r := range rules {
				if r.name == c.rule {
					found = r.check(newRepo(c.files))
				}
			}
			got := strings.Join(found, "\n")
			switch {
			case c.want == "" && got != "":
				t.Errorf("want nothing, got %s", got)
			case c.want != "" && (len(found) != 1 || !strings.Contains(got, c.want)):
				t.Errorf("want one violation with %q, got %q", c.want, got)
			}
		})
	}
}

// TestEveryRuleIsBitten: a rule without a case here is a rule that nobody has seen fail.
func TestEveryRuleIsBitten(t *testing.T) {
	bitten := map[string]bool{}
	for _, c := range biting {
		bitten[c.rule] = bitten[c.rule] || c.want != ""
	}
	for _, r := range rules {
		if !bitten[r.name] && r.name != "size" { // TestRatchet
			t.Errorf("rule %q has no case that breaks it", r.name)
		}
	}
}

var biting = []struct {
	rule  string
	files files
	want  string // part of the one violation; "" for none
}{
	{"parse", files{"a/a.go": "package"}, "a/a.go: does not parse"},

	{"import table", files{"new/a.go": program("new")}, "new: the package is not in the table"},
	{"import table", files{"store/a.go": program("store", own+`dataset"`)}, "must not import dataset"},
	{"import table", files{"store/s3/a.go": program("s3")}, "no longer imports store"},
	{"import table", files{"store/a_test.go": program("store", own+`dataset"`)}, ""},
	{"import table", files{"internal/leader/a.go": program("leader", own+`proto/banyan/v1"`)}, ""},
	{"import table", files{"test/x/a.go": program("x", own+`client"`)}, ""},

	{"owned imports", files{"client/a.go": program("client", `"github.com/hashicorp/raft"`)},
		"only coordinator/consensus imports"},
	{"owned imports", files{"client/a_test.go": program("client", `"github.com/nats-io/nats.go"`)},
		"only coordinator/telemetry imports"},
	{"owned imports", files{"a/a.go": program("a", `"github.com/aws/aws-sdk-go-v2/aws"`)},
		"only store/s3 imports"},
	{"owned imports", files{"worker/model/a.go": program("model", `"C"`)}, "worker/kernel/cpu"},
	{"owned imports", files{"store/s3/a.go": program("s3", `"github.com/aws/smithy-go"`)}, ""},

	{"pure packages", files{"dataset/mix/a.go": program("mix", `"math/rand/v2"`)}, "no math/rand/v2"},
	{"pure packages", files{"coordinator/plan/a.go": program("plan", `"os/exec"`)}, "no os/exec"},
	{"pure packages", files{"coordinator/state/a.go": program("state", `"github.com/rs/zerolog"`)},
		"no github.com/rs/zerolog"},
	{"pure packages", files{"coordinator/state/a.go": "package state\nimport \"time\"\n" +
		"var now = time.Now\n"}, "no time.Now"},
	{"pure packages", files{"coordinator/state/a.go": "package state\nimport \"time\"\n" +
		"const d time.Duration = 3 * time.Second\n"}, ""},
	{"pure packages", files{"coordinator/state/a_test.go": program("state", `"os"`)}, ""},

	{"worker apart from coordinator", files{"worker/train/a_test.go": program("train",
		own+`coordinator/plan"`)}, "by its protocol only: coordinator/plan"},
	{"worker apart from coordinator", files{"worker/train/a.go": program("train", own+`store"`)}, ""},
	{"model alone", files{"worker/model/a.go": program("model", own+`collective/tree"`)},
		"collective/tree"},
	{"model alone", files{"worker/model/a_test.go": program("model", own+`checkpoint/hf"`)}, ""},

	{"package documentation", files{"a/a.go": "package a\n"}, "a: has no doc.go"},
	{"package documentation", files{"a/doc.go": "// Words.\npackage a\n"}, `begin with "Package a "`},
	{"package documentation", files{"cmd/x/doc.go": "// Package main is x.\npackage main\n"},
		`begin with "Command x "`},
	{"package documentation", files{"a/doc.go": "// Package a is.\npackage a\n"}, ""},

	{"format", files{"a/a.go": "package a\nvar  x = 1\n"}, "not as gofmt"},
	{"format", files{"a/a.go": "package a\n\nvar x = 1\n"}, ""},
	{"sleep", files{"a/a_test.go": "package a\nfunc f() { time.Sleep(1) }\n"}, "a/a_test.go:2"},
	{"sleep", files{"a/a.go": "package a\nfunc f() { time.Sleep(1) }\n"}, ""},
	{"skip", files{"a/a_test.go": "package a\nfunc f() { t.Skip() }\n"}, "without a reason"},
	{"skip", files{"a/a_test.go": "package a\nfunc f() { t.SkipNow() }\n"}, "without a reason"},
	{"skip", files{"a/a_test.go": "package a\nfunc f() { t.Skip(\"no /proc\") }\n"}, ""},
	{"unfinished", files{"a/a.go": "package a // TO" + "DO later\n"}, "a/a.go:1"},
	{"unfinished", files{"a/a.c": "/* autoDOTS */\n"}, ""},

	{"invariants", files{"a/a_test.go": tests("1 3 4 5 6 7 8 9 10 11 12 13")}, "I2: no test"},
	{"invariants", files{"a/a_test.go": tests("1I2 3 4 5 6 7 8 9 10 11 12 13")}, ""},

	{"document paths", files{"docs/A.md": "see `a/b.go`\n"}, "docs/A.md:1: there is no a/b.go"},
	{"document paths", files{"README.md": "see `gone.go`\n"}, "there is no gone.go"},
	{"document paths", files{"README.md": "`a/{b,c}.go`\n", "a/b.go": "package a\n"}, "no a/c.go"},
	{"document paths", files{"README.md": "`a/` `a/b.go` `a/*.go` `s3://x/y` `x.yaml`\n```\n`q/r`\n" +
		"```\n", "a/b.go": "package a\n"}, ""},
	{"document identifiers", files{"docs/A.md": "`a.Gone`\n"}, "no code declares a.Gone"},
	{"document identifiers", files{"docs/A.md": "`a.T.Gone`\n", "a/a.go": "package a\ntype T int\n"},
		"no code declares a.T.Gone"},
	{"document identifiers", files{"docs/A.md": "`TestGone`\n"}, "no code declares TestGone"},
	{"document identifiers", files{"docs/A.md": "`a.T.F` `a.T.M()` `a.C` `TestX` `x.yaml`\n",
		"a/a.go":      "package a\ntype T struct{ F int }\nfunc (t *T) M() {}\nconst C = 1\n",
		"a/a_test.go": "package a\nfunc TestX() {}\n"}, ""},
	{"document commands", files{"README.md": "`banyan fly`\n"}, "no command banyan fly"},
	{"document commands", files{"README.md": "```\nmake lunch\n```\n", "Makefile": "launch:\n"},
		"no target lunch"},
	{"document commands", files{"README.md": "`banyan up`\n```\nmake demo\n```\n",
		"Makefile":         "demo: x\n",
		"cmd/banyan/up.go": "package main\nvar c = cobra.Command{Use: \"up\"}\n"}, ""},

	{"readme twins", files{"README.md": "# a\n"}, "want both"},
	{"readme twins", files{"README.md": "# a\n## b\n", "README.zh-CN.md": "# x\n"},
		"has 2 of heading"},
	{"readme twins", files{"README.md": "# a\n```\nx\n```\n", "README.zh-CN.md": "# a\n```\ny\n```\n"},
		"code block 1 differs"},
	{"readme twins", files{"README.md": "# a\n```\n# x\n```\n",
		"README.zh-CN.md": "# z\n```\n# x\n```\n"}, ""},
}

func TestRatchet(t *testing.T) {
	r := newRepo(files{
		"a/long.go": "package a\n" + lines(maxFileLines, "//"),
		"a/func.go": "package a\n\nfunc f() {\n" + lines(maxFuncLines, "\t_ = 1") + "}\n",
		"a/wide.go": "package a\n\n// " + strings.Repeat("中", maxColumns-2) + "\n",
		"a/fits.go": "package a\n\n// " + strings.Repeat("中", maxColumns-3) + "\n" +
			"func g() {\n" + lines(maxFuncLines-2, "\t_ = 1") + "}\n",
		"a/made.go": "// Code generated by x. DO NOT EDIT.\n\npackage a\n" + lines(500, "//"),
	})
	exact := map[string]int{"a/long.go": 401, "a/func.go f": 72, "a/wide.go wide": 1}
	if got := ratchet(measure(r), exact); len(got) != 0 {
		t.Errorf("exact exceptions: %q", got)
	}
	if got := ratchet(measure(r), nil); len(got) != len(exact) {
		t.Errorf("no exceptions: want %d violations, got %q", len(exact), got)
	}
	for _, c := range []struct {
		key  string
		n    int
		want string
	}{
		{"a/long.go", 399, "grew from 399 to 401"},
		{"a/long.go", 402, "shrank to 401"},
		{"a/fits.go g", 71, "within the budget"},
	} {
		loose := map[string]int{"a/long.go": 401, "a/func.go f": 72, "a/wide.go wide": 1}
		loose[c.key] = c.n
		if got := ratchet(measure(r), loose); len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s %d: want %q, got %q", c.key, c.n, c.want, got)
		}
	}
}
