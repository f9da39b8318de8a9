package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tinyDisk bytes hold a young coordinator, and not much more.
const tinyDisk = 16 << 20

// TestI5_FullDiskUnderACoordinator: the member whose disk is full says so and ends; the others go
// on, and the run finishes with nothing lost.
func TestI5_FullDiskUnderACoordinator(t *testing.T) {
	want := control(t, long)
	disk := mountTiny(t)
	c := newCluster(t, 0, 0)
	c.dirs["c2"] = filepath.Join(disk, "c2")
	c.bring(3, 2)
	run := c.launch(long, "resources.workers=2")
	w := c.watch(run)
	w.awaitStep(20)
	fill(t, filepath.Join(disk, "filler"))
	full := c.procs["c2"]
	<-full.done // the run itself makes it write; the watch has a deadline
	log, err := os.ReadFile(full.log)
	if err != nil {
		t.Fatal(err)
	}
	if full.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", full.cmd.ProcessState)
	}
	last := lastLine(log)
	for _, part := range []string{"banyan: ", c.dirs["c2"], "no space left", "free space"} {
		if !strings.Contains(last, part) {
			t.Errorf("its last words do not name %q", part)
		}
	}
	if strings.Contains(string(log), "panic") || strings.Contains(string(log), "goroutine ") {
		t.Error("its log holds a panic")
	}
	t.Logf("last words: %s", last)
	want.same(t, w.finish(), c.digest(run))
}

// TestI5_FullDiskAtItsStart: a coordinator that cannot begin says where and why.
func TestI5_FullDiskAtItsStart(t *testing.T) {
	disk := mountTiny(t)
	fill(t, filepath.Join(disk, "filler"))
	c := newCluster(t, 0, 0)
	c.dirs["c1"] = filepath.Join(disk, "c1")
	c.addMembers(1)
	p := c.start("c1")
	<-p.done
	log, _ := os.ReadFile(p.log)
	if last := lastLine(log); !strings.Contains(last, c.dirs["c1"]) ||
		!strings.Contains(last, "no space left") {
		t.Errorf("last words: %s", last)
	}
	if strings.Contains(string(log), "goroutine ") {
		t.Errorf("its log holds a panic:\n%s", log)
	}
}

func lastLine(log []byte) string {
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return lines[len(lines)-1]
}

// mountTiny mounts a small file system in memory.
func mountTiny(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill takes all space that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for range tinyDisk/len(block) + 1 {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the small file system does not fill up")
}
