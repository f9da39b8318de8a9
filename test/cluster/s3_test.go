package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const s3User, s3Secret = "tester", "testersecret"

// TestI3_S3_SameCurve: the run of all tests with model, corpora and checkpoints in a real S3
// server is the run over files; and what goes wrong with S3 is said plainly.
func TestI3_S3_SameCurve(t *testing.T) {
	addr := startS3(t)
	env := []string{"AWS_ACCESS_KEY_ID=" + s3User, "AWS_SECRET_ACCESS_KEY=" + s3Secret,
		"AWS_ENDPOINT_URL=http://" + addr}
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
		{"no server", env, "stores.default.endpoint=http://" + freePort(t), "refused", 1},
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

// startS3 starts the S3 server and returns its address.
func startS3(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("BANYAN_S3SERVER")
	if binary == "" {
		t.Skip("BANYAN_S3SERVER is not set; `make test` builds the S3 server and sets it")
	}
	addr := freePort(t)
	cmd := exec.Command(binary, "-listen", addr, "-dir", t.TempDir(), "-die-with-parent")
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+s3User, "AWS_SECRET_ACCESS_KEY="+s3Secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	spawnRequests <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var ready string
	if _, err := fmt.Fscanln(stdout, &ready, &ready); err != nil {
		t.Fatalf("the S3 server does not listen: %v", err)
	}
	return addr
}
