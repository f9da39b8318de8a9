package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// runLine runs a line of `banyan model` and returns what it prints.
func runLine(t *testing.T, line ...string) (string, error) {
	t.Helper()
	return runCommand(t, modelCommand(), line...)
}

// runCommand runs a command with arguments and returns what it prints.
func runCommand(t *testing.T, cmd *cobra.Command, line ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetArgs(append([]string{}, line...)) // of nil, cobra takes the process's own arguments
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

const tinyConfig = `{"model_type":"llama","vocab_size":31,"hidden_size":16,"intermediate_size":24,
	"num_hidden_layers":1,"num_attention_heads":2,"max_position_embeddings":32}`

// The two probes of a model folder: what they print, and what they say when used wrongly.
func TestProbes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	m, config := filepath.Join(dir, "model"), file("config.json", tinyConfig)
	if _, err := runLine(t, "init", m, "--config", config, "--dtype", "bf16"); err != nil {
		t.Fatal(err)
	}
	out, err := runLine(t, "logits", "--model", m, "--ids", "1, 2,3")
	var logits map[string][]float64
	if err != nil || strings.Count(out, "\n") != 1 || json.Unmarshal([]byte(out), &logits) != nil ||
		len(logits) != 2 || len(logits["logits"]) != 3*31 || logits["shape"][1] != 31 {
		t.Errorf("logits printed %.200s (%v)", out, err)
	}
	ids := file("ids.jsonl", "{\"ids\":[1,2,3]}\n{\"ids\":[4,5]}\n")
	nested := file("nested.jsonl", `{"a":{"b":{"x":"ab"}}}`)
	_, err = runLine(t, "loss", "--model", m, "--jsonl", nested, "--text-field", "a.b.x")
	if err == nil || !strings.Contains(err.Error(), "name one by --tokenizer") {
		t.Errorf("a field inside another: want it found and no tokenizer, got %v", err)
	}
	out, err = runLine(t, "loss", "--model", m, "--jsonl", ids, "--seq-len", "2")
	var loss struct{ Loss, Targets float64 }
	if err != nil || json.Unmarshal([]byte(out), &loss) != nil || loss.Targets != 3 || loss.Loss < 3 {
		t.Errorf("loss printed %.200s (%v)", out, err)
	}
	for want, line := range map[string][]string{
		"--precision":           {"logits", "--model", m, "--ids", "1", "--precision", "fp16"},
		"--model: want":         {"logits", "--ids", "1"},
		`--ids: "x" is not`:     {"logits", "--model", m, "--ids", "1,x"},
		`--ids: "" is not`:      {"logits", "--model", m},
		"--dtype":               {"init", m, "--config", config, "--dtype", "fp8"},
		"--jsonl":               {"loss", "--model", m, "--jsonl", filepath.Join(dir, "none")},
		"--jsonl is missing":    {"loss", "--model", m},
		"--jsonl: x.jsonl.gz":   {"loss", "--model", m, "--jsonl", "x.jsonl.gz"},
		"--tokenizer: load":     {"init", m, "--config", config, "--tokenizer", dir},
		`a field "a.b.c" nor`:   {"loss", "--model", m, "--jsonl", nested, "--text-field", "a.b.c"},
		"config.json":           {"logits", "--model", filepath.Join(dir, "none"), "--ids", "1"},
		"token id 31":           {"logits", "--model", m, "--ids", "31"},
		"no targets in 0":       {"loss", "--model", m, "--jsonl", file("empty", "")},
		"name one by --token":   {"loss", "--model", m, "--jsonl", file("text", `{"text":"ab"}`)},
		"seq_len is 33":         {"loss", "--model", m, "--jsonl", ids, "--seq-len", "33"},
		"model_type\" is \"x\"": {"init", m, "--config", file("bad", `{"model_type":"x"}`)},
	} {
		out, err := runLine(t, line...)
		if err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%v: error is %v, want one with %q (printed %q)", line, err, want, out)
		}
		usage := strings.HasPrefix(want, "--") || strings.HasPrefix(want, "model_type")
		if usage && exitCode(err) != exitUsage {
			t.Errorf("%v: %v is no usage error", line, err)
		}
	}
}

// TestInitTakesTheTokenizerOfAModel: of a folder that holds a model too, the tokenizer's files go
// along and nothing else; its main file alone will do.
func TestInitTakesTheTokenizerOfAModel(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"config.json": tinyConfig, "tokenizer.json": "{}",
		"tokenizer_config.json": "{}", "model.safetensors.index.json": "{}", "README.txt": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, from := range []string{dir, filepath.Join(dir, "tokenizer.json")} {
		dest := filepath.Join(dir, fmt.Sprint("new", i))
		_, err := runLine(t, "init", dest, "--config", filepath.Join(dir, "config.json"), "--tokenizer",
			from)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dest)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		want := "config.json model.safetensors tokenizer.json tokenizer_config.json"
		if got := strings.Join(names, " "); got != want {
			t.Errorf("--tokenizer %s: wrote %s, want %s", from, got, want)
		}
	}
}
