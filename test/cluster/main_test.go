package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// shared is what all tests use and none changes.
var shared struct {
	root   string // of the repository
	dir    string // temporary, for the whole package
	binary string
	model  string // base model folder, tokenizer included
}

// modelConfig is the smallest model with every part of the architecture: grouped-query attention,
// two blocks, the shipped tokenizer's vocabulary.
const modelConfig = `{"architectures": ["LlamaForCausalLM"], "model_type": "llama",
 "vocab_size": 4096, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
 "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "hidden_act": "silu",
 "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "max_position_embeddings": 256,
 "tie_word_embeddings": false, "initializer_range": 0.02, "bos_token_id": 1, "eos_token_id": 0,
 "torch_dtype": "float32"}`

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "banyan-cluster-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	shared.root, shared.dir = root, dir
	shared.binary = filepath.Join(dir, "banyan")
	args := []string{"build", "-o", shared.binary}
	if os.Getenv("BANYAN_RACE") != "" {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "./cmd/banyan")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build banyan: %w\n%s", err, out)
	}
	go spawner()
	if shared.model, err = initModel(filepath.Join(dir, "model")); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

func initModel(dest string) (string, error) {
	config := filepath.Join(shared.dir, "config.json")
	if err := os.WriteFile(config, []byte(modelConfig), 0o644); err != nil {
		return "", err
	}
	out, err := exec.Command(shared.binary, "model", "init", dest, "--config", config, "--seed", "3",
		"--tokenizer", filepath.Join(shared.root, "examples", "tokenizer")).CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("model init: %s", out), err)
	}
	return dest, nil
}
