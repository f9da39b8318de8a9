package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/gpu/doctor"
	"github.com/banyan-train/banyan/gpu/fake"
)

func runDoctor(t *testing.T, line ...string) (string, error) {
	t.Helper()
	return runCommand(t, doctorCommand(), line...)
}

func TestDoctor(t *testing.T) {
	dir := fake.Build(t, fake.Options{})
	text, err := runDoctor(t, "--cuda-path", dir)
	for _, want := range []string{"cpu ", "gpu 0 ", "Fake GPU 0, 1.0 GiB", "CUDA 12.8",
		"drive a GPU  ", dir} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("error %v, no %q in:\n%s", err, want, text)
		}
	}
	text, err = runDoctor(t, "--json", "--cuda-path", dir)
	var r doctor.Report
	if err != nil || json.Unmarshal([]byte(text), &r) != nil || len(r.Devices) != 1 ||
		len(r.Libraries) != 5 || !r.Needs[0].OK || strings.Count(text, "\n") != 1 {
		t.Errorf("printed %s (%v)", text, err)
	}
	if _, err := runDoctor(t, "--cuda-path", "/no/such"); !errors.Is(err, errInput) {
		t.Errorf("a folder that is not there: %v", err)
	}
	t.Setenv("BANYAN_ISA", "none such")
	if text, err := runDoctor(t); err == nil || exitCode(err) != exitFailed ||
		!strings.Contains(text, "an ISA class") {
		t.Errorf("without a class: %v\n%s", err, text)
	}
}
