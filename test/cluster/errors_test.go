package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestI13_ClearErrors: what a user gets wrong is said on standard error, with the place, and with
// exit code 1 (failed) or 2 (wrong input); it is never a panic.
func TestI13_ClearErrors(t *testing.T) {
	c := newCluster(t, 1, 1)
	spec := c.writeSpec("tiny", corpora())
	launch := func(set ...string) []string {
		args := []string{"launch", spec}
		for _, s := range set {
			args = append(args, "--set", s)
		}
		return args
	}
	// A model whose vocabulary does not go with the shipped tokenizer.
	small := c.path("small.json")
	config := strings.Replace(modelConfig, `"vocab_size": 4096`, `"vocab_size": 512`, 1)
	writeFile(t, small, config)
	c.mustCLI("model", "init", c.path("small"), "--config", small, "--tokenizer",
		filepath.Join(shared.root, "examples", "tokenizer"))
	writeFile(t, c.path("typo.yaml"), "apiVersion: banyan/v1\nname: x\ntrian: {steps: 3}\n")
	cases := []struct {
		name string
		args []string
		code int
		want []string // in standard error
	}{
		{"unknown run", []string{"watch", "nosuch"}, 1, []string{`no run "nosuch"`, "banyan runs"}},
		{"unknown run to stop", []string{"stop", "nosuch"}, 1, []string{`no run "nosuch"`}},
		{"unknown run's digest", []string{"checkpoint", "digest", "nosuch"}, 1,
			[]string{`no run "nosuch"`}},
		{"unknown command", []string{"lunch"}, 2, []string{"lunch"}},
		{"no argument", []string{"watch"}, 2, []string{"RUN"}},
		{"missing spec", []string{"launch", c.path("none.yaml")}, 2, []string{"none.yaml"}},
		{"bad spec", []string{"launch", c.path("typo.yaml")}, 2, []string{"typo.yaml:3", "trian"}},
		{"missing folder", launch("data.sources.0.uri=/nosuch/zh.jsonl"), 2, []string{"/nosuch"}},
		{"missing file", launch("data.sources.0.uri=" + c.path("zh.jsonl")), 2, []string{"zh.jsonl"}},
		{"missing base", launch("base.model=" + c.path("nomodel")), 2, []string{"nomodel"}},
		{"wrong tokenizer", launch("base.model=" + c.path("small")), 2, []string{"vocab"}},
		{"unknown subcommand", []string{"checkpoint", "verfy", "x"}, 2, []string{"verfy", "verify"}},
		{"too few shards", launch("resources.workers=9"), 2, []string{"8 logical shards"}},
		{"missing checkpoint", []string{"checkpoint", "verify", c.path("none/manifest.json")}, 1,
			[]string{"none"}},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			c := c.in(t)
			stdout, stderr, code := c.cli(x.args...)
			plain(t, stdout, stderr, code, x.code, x.want...)
		})
	}
}

// TestI13_NoCoordinatorAnswers: the command gives up after a while, and says whom it asked.
func TestI13_NoCoordinatorAnswers(t *testing.T) {
	t.Parallel()
	addr := testkit.FreeAddr(t)
	for _, line := range [][]string{{"runs"}, {"resume", "some"}} {
		began := time.Now()
		stdout, stderr, code := cli(t, nil, append(line, "--addr", addr)...)
		plain(t, stdout, stderr, code, 1, addr, "connection refused", "banyan up", "BANYAN_ADDR")
		if took := time.Since(began); took > testkit.Patience {
			t.Errorf("%v gave up after %v", line, took)
		}
	}
}

// plain demands an error message that a person can use.
func plain(t *testing.T, stdout, stderr string, code, wantCode int, want ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("exit code %d, want %d", code, wantCode)
	}
	for _, part := range want {
		if !strings.Contains(stderr, part) {
			t.Errorf("standard error does not name %q", part)
		}
	}
	for _, bad := range []string{"panic:", "goroutine", "rpc error"} {
		if strings.Contains(stdout+stderr, bad) {
			t.Errorf("output holds %q", bad)
		}
	}
	if strings.TrimSpace(stdout) != "" {
		t.Errorf("standard output: %s", stdout)
	}
	if t.Failed() {
		t.Logf("standard error: %s", stderr)
	}
}

// TestI13_ChangedInputsFailTheRun: what was pinned at launch has changed when a rank reads it. The
// run ends and says which file it was.
func TestI13_ChangedInputsFailTheRun(t *testing.T) {
	c := newCluster(t, 1, 1)
	for _, x := range []struct{ name, file string }{
		{"corpus", "corpora/zh-stories.jsonl"},
		{"model", "model/model.safetensors"},
		{"tokenizer", "model/tokenizer.json"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := c.in(t)
			dir := t.TempDir()
			copyFolder(t, corpora(), filepath.Join(dir, "corpora"))
			copyFolder(t, shared.model, filepath.Join(dir, "model"))
			c.procs["w1"].kill() // the run waits, pinned
			run := c.mustCLI("launch", c.writeSpec(x.name, filepath.Join(dir, "corpora")),
				"--set", "base.model="+filepath.Join(dir, "model"))
			flipLastBit(t, filepath.Join(dir, x.file))
			c.start("w1")
			c.watch(run).finish()
			got := c.run(run)
			if got.GetState() != pb.RunState_FAILED ||
				!strings.Contains(got.GetReason(), filepath.Base(x.file)) {
				t.Errorf("run is %s: %s; want FAILED and %s named", got.GetState(), got.GetReason(), x.file)
			}
			stdout, stderr, code := c.cli("watch", run, "--json")
			plain(t, stdout, stderr, code, 1, filepath.Base(x.file))
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
