package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/banyan-train/banyan/internal/testkit"
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
	watched := func(out string) bool { return out != "" }
	_, stderr, code := interrupt(t, false, watched, "watch", run, "--addr", c.addr())
	plain(t, "", stderr, code, 1, "goes on", "banyan watch "+run, "banyan stop "+run)
	c.mustCLI("stop", run)
	path := c.path("config.json")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	var fifo *os.File
	t.Cleanup(func() { _ = fifo.Close() })
	reading := func(string) (ok bool) { // else the other end does not open
		var err error
		fifo, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil
	}
	_, stderr, code = interrupt(t, true, reading, "model", "init", c.path("m"), "--config", path)
	if code != -1 || stderr != "" {
		t.Errorf("a second signal: exit code %d, want death by it:\n%s", code, stderr)
	}
}

// ctrlC is SIGINT, unless it is ignored here, as in what a script runs in the background: then the
// command would inherit that, and what a second signal does would be up to who began the test.
func ctrlC() os.Signal {
	if signal.Ignored(syscall.SIGINT) {
		return syscall.SIGTERM
	}
	return syscall.SIGINT
}

// interrupt sends a signal to a command once ready accepts what it has printed. With more, that
// must not end it, and others follow: one that comes before the first is handled counts for none.
func interrupt(t *testing.T, more bool, ready func(stdout string) bool, args ...string,
) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(shared.binary, args...)
	var out, errs testkit.Output
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	pid := cmd.Process.Pid
	testkit.Eventually(t, "banyan "+strings.Join(args, " "), func() bool {
		if !alive(pid) {
			t.Fatalf("banyan %s ended by itself: %s", strings.Join(args, " "), errs.String())
		}
		return ready(out.String())
	})
	_ = cmd.Process.Signal(ctrlC())
	if more {
		testkit.Eventually(t, "the delivery of a signal", func() bool { return !pending(t, pid) })
		if !alive(pid) {
			t.Fatalf("the first signal ended banyan %s", strings.Join(args, " "))
		}
	}
	testkit.Eventually(t, "the end of banyan "+strings.Join(args, " "), func() bool {
		if more {
			_ = cmd.Process.Signal(ctrlC())
		}
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// pending says whether a signal to a process has still to be delivered.
func pending(t *testing.T, pid int) bool {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "ShdPnd:")
	mask, _, _ := strings.Cut(after, "\n")
	return strings.Trim(mask, "\t 0") != ""
}
