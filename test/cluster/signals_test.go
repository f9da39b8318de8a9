package cluster

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStopAndResumeInARow: stop answers when the run is over, so that resume may follow at once.
func TestStopAndResumeInARow(t *testing.T) {
	c := newCluster(t, 1, 1)
	run := c.launch(long)
	w := c.watch(run)
	w.awaitStep(2)
	out := c.mustCLI("stop", run)
	if !strings.Contains(out, "stopped by request at step") {
		t.Errorf("stop printed %q, want the step at which the run stopped", out)
	}
	_, stderr, code := c.cli("data", "why", run, "1", "--slot", "9999")
	plain(t, "", stderr, code, 2, "--slot 9999", "the slots 0 to ")
	c.mustCLI("resume", run)
	c.mustCLI("stop", "--no-wait", run)
	<-w.done
}

// TestI13_Interrupted: Ctrl-C leaves a run alone and says so; a second one ends a command that
// waits where nothing can be taken back.
func TestI13_Interrupted(t *testing.T) {
	c := newCluster(t, 1, 1)
	run := c.launch(long, "train.steps=10000")
	_, stderr, code := interrupt(t, 1, 3*time.Second, "watch", run, "--addr", c.addr())
	plain(t, "", stderr, code, 1, "goes on", "banyan watch "+run, "banyan stop "+run)
	c.mustCLI("stop", run)
	fifo := c.path("config.json")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code = interrupt(t, 2, 3*time.Second, "model", "init", c.path("m"), "--config", fifo)
	if code != -1 || stderr != "" {
		t.Errorf("a second signal: exit code %d, want death by it:\n%s", code, stderr)
	}
}

// interrupt sends a command n signals, after as long each.
func interrupt(t *testing.T, n int, after time.Duration, args ...string,
) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(shared.binary, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	for range n {
		select {
		case <-ended:
			t.Fatalf("banyan %s ended by itself: %s", strings.Join(args, " "), errs.String())
		case <-time.After(after):
		}
		_ = cmd.Process.Signal(syscall.SIGINT)
	}
	select {
	case <-ended:
	case <-time.After(readyWithin):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("lives on after %d signals: banyan %s", n, strings.Join(args, " "))
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
