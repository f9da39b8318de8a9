package demo

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testDemo has an empty folder; the context ends when the demo fails.
func testDemo(t *testing.T) (*demo, context.Context) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	unlock, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	ctx, fail := context.WithCancelCause(t.Context())
	t.Cleanup(func() { fail(nil) })
	return &demo{cfg: Config{Dir: dir, Out: os.Stdout, Err: os.Stderr}, env: environment(),
		fail: fail}, ctx
}

func TestClaimEmptiesTheFolderAndLocksIt(t *testing.T) {
	d, _ := testDemo(t)
	if err := os.WriteFile(d.path("logs", "old"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := claim(d.cfg.Dir)
	expect(t, "second demo", err, "another demo is running in "+d.cfg.Dir)
	if _, err := os.Stat(d.path("logs", "old")); err != nil {
		t.Error("the refused demo removed a file of the running one")
	}
	dir := filepath.Join(t.TempDir(), "again")
	for range 2 {
		unlock, err := claim(dir)
		if err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
		if err != nil || len(left) != 0 {
			t.Errorf("left from before: %v %v", left, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "logs", "x"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		unlock()
	}
}

func TestServiceIsReadyAndEnds(t *testing.T) {
	d, ctx := testDemo(t)
	s, said, err := d.start(ctx, "talker", "up at ", "sh", "-c",
		"echo before; echo up at 1.2.3.4; cat >/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	if said != "1.2.3.4" {
		t.Errorf("said %q", said)
	}
	if !alive(s.cmd.Process.Pid) {
		t.Error("not alive while it runs")
	}
	s.end()
	if alive(s.cmd.Process.Pid) {
		t.Error("alive after its end")
	}
	if ctx.Err() != nil {
		t.Errorf("its end was wanted, but the demo failed: %v", context.Cause(ctx))
	}
}

func TestServiceEndsWithItsPipe(t *testing.T) {
	d, ctx := testDemo(t)
	s, _, err := d.start(ctx, "reader", "up", "sh", "-c",
		"trap '' TERM; echo up; cat >/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.pipe.Close(); err != nil { // as the kernel does when this process is killed
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(time.Minute):
		t.Error("still there after its standard input ended")
		s.end()
	}
	<-ctx.Done() // a demo does not go on without its service
	expect(t, "ended by itself", context.Cause(ctx), "reader ended: exit status 0; see "+s.log)
}

func TestServiceThatFailsNamesItsLog(t *testing.T) {
	d, ctx := testDemo(t)
	_, _, err := d.start(ctx, "broken", "up", "sh", "-c", "echo no >&2; exit 3")
	expect(t, "broken", err, "exit status 3")
	expect(t, "broken", err, d.path("logs", "broken.log"))
}

func TestEnvironmentLeadsNowhereElse(t *testing.T) {
	t.Setenv("AWS_PROFILE", "production")
	t.Setenv("BANYAN_ADDR", "10.0.0.1:7070")
	env := strings.Join(environment("AWS_ACCESS_KEY_ID=x"), "\n")
	if strings.Contains(env, "production") || strings.Contains(env, "10.0.0.1") {
		t.Error("the demo's processes would use services that are not the demo's")
	}
	if !strings.Contains(env, "AWS_ACCESS_KEY_ID=x") || !strings.Contains(env, "PATH=") {
		t.Error("needed variables are missing")
	}
}

func TestAliveKnowsZombies(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Not waited for: it stays a zombie until the end of the test.
	if err := awaitDeath(t.Context(), cmd.Process.Pid, time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	expect(t, "this process", awaitDeath(t.Context(), os.Getpid(), time.Now()), "still runs")
}

func TestRankPID(t *testing.T) {
	c := &cluster{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(c.dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	log := `not JSON
{"message":"rank started","run":"a-1","generation":1,"rank":0,"pid":101}
{"message":"rank died","run":"a-1","generation":2,"rank":0,"pid":102}
{"message":"rank started","run":"a-1","generation":2,"rank":1,"pid":103}
{"message":"rank started","run":"a-1","generation":2,"rank":0,"pid":104}
`
	if err := os.WriteFile(filepath.Join(c.dir, "logs", "w1.log"), []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	if pid, err := c.rankPID("w1", "a-1", 2, 0); pid != 104 || err != nil {
		t.Errorf("got %d, %v", pid, err)
	}
	_, err := c.rankPID("w1", "a-2", 2, 0)
	expect(t, "another run", err, "does not tell of rank 0 of generation 2 of a-2")
	_, err = c.rankPID("w2", "a-1", 2, 0)
	expect(t, "no log", err, "find rank process")
}
