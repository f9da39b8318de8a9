package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// desk is a folder to try commands in.
type desk struct {
	*testing.T
	dir string
}

func (d desk) at(name string) string { return filepath.Join(d.dir, name) }

func (d desk) write(name, content string) string {
	d.Helper()
	err := os.MkdirAll(filepath.Dir(d.at(name)), 0o700)
	if err == nil {
		err = os.WriteFile(d.at(name), []byte(content), 0o600)
	}
	if err != nil {
		d.Fatal(err)
	}
	return d.at(name)
}

func (d desk) read(name string) string {
	d.Helper()
	b, err := os.ReadFile(d.at(name))
	if err != nil {
		d.Fatal(err)
	}
	return string(b)
}

func (d desk) refused(what string, err error, want ...string) {
	d.Helper()
	if !errors.Is(err, errInput) {
		d.Errorf("%s: %v is no usage error", what, err)
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			d.Errorf("%s: %q does not name %q", what, err, w)
		}
	}
}

// TestModelsAreReplacedOnlyByForce: what lies in a folder may have no other copy.
func TestModelsAreReplacedOnlyByForce(t *testing.T) {
	d := desk{t, t.TempDir()}
	config := d.write("config.json", tinyConfig)
	if err := os.MkdirAll(d.at("empty/below"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"new", "empty"} {
		if _, err := runLine(t, "init", d.at(folder), "--config", config); err != nil {
			t.Errorf("a folder %s: %v", folder, err)
		}
	}
	before := d.read("new/model.safetensors")
	again := []string{"init", d.at("new") + "/", "--config", config, "--seed", "1"}
	_, err := runLine(t, again...)
	d.refused("a model", err, d.at("new"), "config.json, model.safetensors", "--force")
	if d.read("new/model.safetensors") != before {
		t.Error("the model was replaced")
	}
	if _, err := runLine(t, append(again, "--force")...); err != nil {
		t.Error(err)
	}
	if d.read("new/model.safetensors") == before {
		t.Error("--force did not replace the model")
	}
	for _, f := range []string{"a", "b", "c", "sub/file", "tokenizer.model"} {
		d.write("other/"+f, "x")
	}
	_, err = runLine(t, "init", d.at("other"), "--config", config)
	d.refused("files of another", err, "it holds a, b, c, 2 more")
	_, err = runLine(t, "extend", d.at("new"), d.at("empty"), "--tokenizer", d.at("other"))
	d.refused("extend into a model", err, d.at("empty"), "--force")
}

// TestABaseIsNotReplacedByWhatIsMadeOfIt: not even by force, as it would be gone halfway.
func TestABaseIsNotReplacedByWhatIsMadeOfIt(t *testing.T) {
	d := desk{t, t.TempDir()}
	base, link := filepath.Dir(d.write("base/config.json", tinyConfig)), d.at("link")
	if err := os.Symlink(base, link); err != nil {
		t.Fatal(err)
	}
	for _, dest := range []string{base, base + "/", "file://" + base, link} {
		_, err := runLine(t, "extend", base, dest, "--tokenizer", d.at("x"), "--force")
		d.refused("extend onto "+dest, err, "is BASE and DEST")
	}
	_, err := runLine(t, "extend", "s3://b/m", "s3://b/m/", "--tokenizer", d.at("x"), "--force")
	d.refused("extend in a store", err, "is BASE and DEST")
}

func TestATokenizerIsReplacedOnlyByForce(t *testing.T) {
	d := desk{t, t.TempDir()}
	grown := d.write("grown.model", "mine")
	extend := []string{"extend", "--base", "../../examples/ziya/base.model", "--add",
		d.write("words.txt", "甲乙\n"), "-o", grown}
	_, err := runCommand(t, tokenizerCommand(), extend...)
	d.refused("a tokenizer", err, grown, "--force")
	if d.read("grown.model") != "mine" {
		t.Error("the tokenizer was replaced")
	}
	if _, err = runCommand(t, tokenizerCommand(), append(extend, "--force")...); err != nil {
		t.Error(err)
	}
	if d.read("grown.model") == "mine" {
		t.Error("--force did not replace the tokenizer")
	}
}
