package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const (
	totalSteps      = 60
	checkpointEvery = 5
	// long is the edit for runs that something happens to: ranks step on while there is no leader,
	// and the run must not be over before it has happened.
	long      = "train.steps=240"
	longSteps = 240
)

// specYAML has the model, the corpora folder and the checkpoint folder to fill in.
const specYAML = `apiVersion: banyan/v1
name: %[1]s
base: {model: %[2]q}
stores: {default: {endpoint: "http://127.0.0.1:1", region: us-east-1, credentials: env}}
data:
  seq_len: 48
  doc_mask: true
  sources:
    - {name: zh, uri: "%[3]s/zh-stories.jsonl", lang: zh, weight: 0.5}
    - {name: en, uri: "%[3]s/en-stories.jsonl", lang: en, weight: 0.25}
    - {name: facts, uri: "%[3]s/en-facts.jsonl", lang: en, weight: 0.25}
train:
  steps: %[5]d
  global_batch: 8
  micro_batch: 1
  logical_shards: 8
  sharding: zero3
  optimizer: {lr: 3e-3, weight_decay: 0.1, clip: 1.0}
  schedule: {kind: wsd, warmup: 10%%, decay: 20%%, min_lr: 1e-4}
  seed: 11
checkpoint: {to: %[4]q, every: %[6]d, keep: 3}
resources: {workers: 1..4, device: cpu, threads: 1}
`

func corpora() string { return filepath.Join(shared.root, "examples", "corpora") }

// writeSpec writes the run of all tests: same mathematics, own checkpoints.
func (c *cluster) writeSpec(name, corpora string) string {
	c.t.Helper()
	path := c.path(name + ".yaml")
	yaml := fmt.Sprintf(specYAML, name, shared.model, corpora, c.path("ckpt"), totalSteps,
		checkpointEvery)
	if err := os.WriteFile(path, []byte(yaml), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// launch starts the run of all tests and returns its id.
func (c *cluster) launch(set ...string) string {
	c.t.Helper()
	args := []string{"launch", c.writeSpec("tiny", corpora())}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	return c.mustCLI(args...)
}

// digest is the digest of a run's newest checkpoint.
func (c *cluster) digest(run string) string {
	c.t.Helper()
	return c.mustCLI("checkpoint", "digest", run)
}

// outcome is what two equal runs have in common.
type outcome struct {
	curve  []*pb.StepRecord
	digest string
}

var (
	controlMutex sync.Mutex
	controls     = map[string]*outcome{} // by edits
)

// control is the undisturbed run on one worker, made once for these edits of the spec.
func control(t *testing.T, set ...string) *outcome {
	t.Helper()
	controlMutex.Lock()
	defer controlMutex.Unlock()
	key := strings.Join(set, " ")
	if controls[key] == nil {
		c := newCluster(t, 1, 1)
		controls[key] = c.complete(c.launch(append(set, "resources.workers=1")...))
		c.end()
	}
	return controls[key]
}

// complete watches a run to its end.
func (c *cluster) complete(run string) *outcome {
	c.t.Helper()
	curve := c.watch(run).finish()
	if state := c.run(run).GetState(); state != pb.RunState_SUCCEEDED {
		c.t.Fatalf("run %s is %s: %s", run, state, c.run(run).GetReason())
	}
	return &outcome{curve, c.digest(run)}
}

// same demands the control's curve and weights.
func (want *outcome) same(t *testing.T, curve []*pb.StepRecord, digest string) {
	t.Helper()
	sameCurve(t, want.curve, curve)
	if digest != want.digest {
		t.Fatalf("digest of the final checkpoint is %s, the control's %s", digest, want.digest)
	}
}
