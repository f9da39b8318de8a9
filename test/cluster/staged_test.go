package cluster

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestStagedSourcesAreRemovedOnRequest: not while a run may be reading them, and a run that is
// resumed afterwards makes them again.
func TestStagedSourcesAreRemovedOnRequest(t *testing.T) {
	c := newCluster(t, 1, 1)
	dir := t.TempDir()
	copyFolder(t, corpora(), dir)
	writeFile(t, filepath.Join(dir, "zh-stories.jsonl"),
		`{"text":"`+strings.Repeat("榕树成林。", 300)+`"}`+"\n")
	run := c.mustCLI("launch", c.writeSpec("staged", dir), "--set", "train.steps=10000")
	w := c.watch(run)
	w.awaitStep(2)
	list := func(more ...string) string {
		return c.mustCLI(append([]string{"data", "staged"}, more...)...)
	}
	if out := list("--remove"); !strings.Contains(out, run+" RUNNING") ||
		strings.Contains(out, "removed") {
		t.Fatalf("while the run steps:\n%s", out)
	}
	c.mustCLI("stop", run)
	w.finish()
	if out := list(); !strings.Contains(out, run+" STOPPED") || strings.Contains(out, "removed") {
		t.Errorf("listed after the run:\n%s", out)
	}
	if out := list("--remove"); !strings.Contains(out, "removed") {
		t.Errorf("removed after the run:\n%s", out)
	}
	if out := list(); strings.Contains(out, run) {
		t.Errorf("there is still something:\n%s", out)
	}
	if out := c.mustCLI("data", "audit", run); !strings.Contains(out, "ok: ") {
		t.Errorf("audit:\n%s", out)
	}
	steps := c.run(run).GetCheckpoints()
	last := steps[len(steps)-1].GetStep()
	c.mustCLI("resume", run, "--set", fmt.Sprint("train.steps=", last+5))
	c.watch(run).finish()
	if got := c.run(run); got.GetState() != pb.RunState_SUCCEEDED {
		t.Errorf("the run is %s: %s", got.GetState(), got.GetReason())
	}
	if out := list(); !strings.Contains(out, run+" SUCCEEDED") {
		t.Errorf("nothing was staged again:\n%s", out)
	}
}
