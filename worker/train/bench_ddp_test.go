package train

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// ddp is PyTorch training the same shape by data parallelism over Gloo: scripts/bench_ddp.py. The
// first run finds out which of its ways is the fastest, and the others take that.
type ddp struct {
	python  string
	way     string
	atATime int
	version string
}

// newDDP is nil unless BANYAN_BENCH_PYTHON names a Python that has PyTorch.
func newDDP(x bench) *ddp {
	python := os.Getenv("BANYAN_BENCH_PYTHON")
	if python == "" || x.Precision != pb.Precision_FP32 {
		return nil
	}
	return &ddp{python: python}
}

func (d *ddp) run(b *testing.B, x bench) timing {
	b.Helper()
	q := map[string]any{"hidden": x.Model.HiddenSize, "layers": x.Model.Layers,
		"heads": x.Model.Heads, "kv_heads": x.Model.KvHeads, "ffn": x.Model.IntermediateSize,
		"vocab": x.Model.VocabSize, "seq_len": x.SeqLen, "batch": x.Batch, "micro": x.Micro,
		"world": x.World, "threads": x.Threads, "steps": x.Steps, "sharding": x.Sharding.String(),
		"way": d.way, "at_a_time": d.atATime}
	text, err := json.Marshal(q)
	must(b, err)
	c := exec.CommandContext(b.Context(), d.python, "../../scripts/bench_ddp.py", string(text))
	out, err := c.Output()
	must(b, err)
	var a struct {
		Seconds float64 `json:"seconds"`
		CPU     float64 `json:"cpu_seconds"`
		Way     string  `json:"way"`
		AtATime int     `json:"at_a_time"`
		Version string  `json:"version"`
	}
	must(b, json.Unmarshal(out, &a))
	d.way, d.atATime, d.version = a.Way, a.AtATime, a.Version
	return timing{Seconds: a.Seconds, CPU: a.CPU}
}

func (d *ddp) String() string {
	return fmt.Sprintf("PyTorch %s %s over Gloo, %d sequences at a time", d.version, d.way, d.atATime)
}
