package main

import (
	"errors"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// TestUsageNamesTheWholeCommand: what a usage error says can be typed as it is.
func TestUsageNamesTheWholeCommand(t *testing.T) {
	for want, line := range map[string]string{
		"banyan data why RUN STEP":                 "data why",
		"banyan checkpoint export CHECKPOINT DEST": "checkpoint export x",
		"banyan stop RUN":                          "stop",
	} {
		cmd := root()
		cmd.SetArgs(strings.Fields(line))
		err := cmd.ExecuteContext(t.Context())
		if !errors.Is(err, errUsage) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("banyan %s: %v, want %q", line, err, want)
		}
	}
}

// TestStoresOf: a run's checkpoints go through its own stores; without any, through the flags'.
func TestStoresOf(t *testing.T) {
	flags := storeFlags{endpoint: "http://127.0.0.1:9000", region: "r", credentials: "env"}
	run := &pb.Run{Resolved: &pb.ResolvedRun{Spec: &pb.RunSpec{}}}
	if got := storesOf(run, flags); len(got) != 1 || got[0].GetEndpoint() != flags.endpoint {
		t.Errorf("a run on files: %v", got)
	}
	run.Resolved.Spec.Stores = []*pb.Store{{Name: "default", Endpoint: "https://s3.example"}}
	if got := storesOf(run, flags); len(got) != 1 || got[0].GetEndpoint() != "https://s3.example" {
		t.Errorf("a run on S3: %v", got)
	}
}
