package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const s3User, s3Secret = "tester", "testersecret"

// TestI3_S3_SameCurve: the run of all tests with model, corpora and checkpoints in a real S3
// server is the run over files; and what goes wrong with S3 is said plainly.
func TestI3_S3_SameCurve(t *testing.T) {
	s3 := startS3(t)
	addr, env := s3.addr, s3.env()
	c := newCluster(t, 1, 2, env...)
	c.mustCLI("store", "make-bucket", "data")
	c.mustCLI("store", "copy", shared.model, "s3://data/model")
	for _, name := range []string{"zh-stories", "en-stories", "en-facts"} {
		c.mustCLI("store", "copy", filepath.Join(corpora(), name+".jsonl"), "s3://data/corpora")
	}
	spec := c.writeSpec("tiny", "s3://data/corpora")
	set := []string{"launch", spec, "--set", "base.model=s3://data/model", "--set",
		"checkpoint.to=s3://data/ckpt", "--set", "stores.default.endpoint=http://" + addr}
	got := c.complete(c.mustCLI(set...))
	control(t).same(t, got.curve, got.digest)

	wrong := []struct {
		name string
		env  []string
		set  string
		want string
		code int
	}{
		{"missing bucket", env, "base.model=s3://nosuch/model", "nosuch", 2},
		{"missing checkpoint bucket", env, "checkpoint.to=s3://nosuch/ckpt", "nosuch", 2},
		{"missing object", env, "base.model=s3://data/nomodel", "nomodel", 2},
		// The spec may be right: the same command can succeed later.
		{"no server", env, "stores.default.endpoint=http://" + testkit.FreeAddr(t), "refused", 1},
	}
	for _, x := range wrong {
		t.Run(x.name, func(t *testing.T) {
			stdout, stderr, code := c.in(t).cli(append(set, "--set", x.set)...)
			plain(t, stdout, stderr, code, x.code, x.want)
		})
	}
	t.Run("wrong credentials", func(t *testing.T) {
		env := []string{"AWS_ACCESS_KEY_ID=" + s3User, "AWS_SECRET_ACCESS_KEY=wrongsecret"}
		stdout, stderr, code := cli(t, env, append([]string{"plan"}, set[1:]...)...)
		plain(t, stdout, stderr, code, 2, "s3://data", "credentials")
		if strings.Contains(stderr, "wrongsecret") {
			t.Error("the secret is in the message (I12)")
		}
	})
}

// s3Server is a real S3 server, which may be killed and started again where it was.
type s3Server struct {
	t         *testing.T
	binary    string
	addr, dir string
	kill      func() // nil: it does not run
}

// startS3 starts an S3 server.
func startS3(t *testing.T) *s3Server {
	t.Helper()
	s := &s3Server{t: t, binary: os.Getenv("BANYAN_S3SERVER"), addr: testkit.FreeAddr(t),
		dir: t.TempDir()}
	if s.binary == "" {
		t.Skip("BANYAN_S3SERVER is not set; `make test` builds the S3 server and sets it")
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// env is what a process needs to use the server.
func (s *s3Server) env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s3User, "AWS_SECRET_ACCESS_KEY=" + s3Secret,
		"AWS_ENDPOINT_URL=http://" + s.addr}
}

func (s *s3Server) stop() {
	if s.kill != nil {
		s.kill()
	}
	s.kill = nil
}

func (s *s3Server) start() {
	s.t.Helper()
	cmd := exec.Command(s.binary, "-listen", s.addr, "-dir", s.dir, "-die-with-parent")
	cmd.Env = append(os.Environ(), s.env()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	started := make(chan error)
	spawnRequests <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	s.kill = func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	var ready string
	if _, err := fmt.Fscanln(stdout, &ready, &ready); err != nil {
		s.t.Fatalf("the S3 server does not listen: %v", err)
	}
}

// TestI2_CorpusStoreAway: the store of the corpora dies in mid-run. The ranks go on with what they
// have read, then wait, which watchers are told; when the store is back they go on where they were.
func TestI2_CorpusStoreAway(t *testing.T) {
	s3 := startS3(t)
	c := newCluster(t, 1, 2, s3.env()...)
	c.mustCLI("store", "make-bucket", "data")
	for _, name := range []string{"zh-stories", "en-stories", "en-facts"} {
		c.mustCLI("store", "copy", filepath.Join(corpora(), name+".jsonl"), "s3://data/corpora")
	}
	run := c.mustCLI("launch", c.writeSpec("tiny", "s3://data/corpora"), "--set", long, "--set",
		"resources.workers=2", "--set", "stores.default.endpoint=http://"+s3.addr)
	w := c.watch(run)
	w.awaitStep(20)
	s3.stop()
	late := w.awaitEvent(pb.EventKind_DATA_LATE, nil)
	if late.GetStep() <= 20 || !strings.Contains(late.GetText(), "waits for data of") {
		t.Errorf("event %v", late)
	}
	s3.start()
	w.awaitEvent(pb.EventKind_DATA_BACK, nil)
	control(t, long).same(t, w.finish(), c.digest(run))
	if gen := c.run(run).GetGeneration(); gen != 1 {
		t.Errorf("the run ended in generation %d", gen)
	}
}
