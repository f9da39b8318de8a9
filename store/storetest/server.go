package storetest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ServerVariable names the environment variable with the path of the built tools/s3server.
const ServerVariable = "BANYAN_S3SERVER"

// Server is a running S3 service with a directory of its own.
type Server struct {
	Endpoint string
	Dir      string // its buckets are directories here
	stop     func()
}

// Stop kills the server, as a crash would. It may be called twice.
func (s *Server) Stop() { s.stop() }

// StartServer runs tools/s3server until the test ends and sets AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY for this process to what it wants. `make test` always sets
// BANYAN_S3SERVER; without it, and without a built bin/s3server, the test is skipped.
func StartServer(t testing.TB) *Server {
	t.Helper()
	return StartServerAt(t, "127.0.0.1:0", t.TempDir())
}

// StartServerAt is StartServer with a given address and directory, to start one again.
func StartServerAt(t testing.TB, listen, dir string) *Server {
	t.Helper()
	bin := serverBinary(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "banyan-test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "banyan-test-secret")
	cmd := exec.Command(bin, "-listen", listen, "-dir", dir, "-die-with-parent")
	var logs strings.Builder
	cmd.Stderr = &logs
	stdin, err := cmd.StdinPipe() // held open: the server ends with this process
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", bin, err)
	}
	stopped := false
	s := &Server{Dir: dir, stop: func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill() // fails only when it is gone already
			_ = cmd.Wait()
			stdin.Close()
		}
	}}
	t.Cleanup(s.stop)
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		if _, err := fmt.Sscanf(text, "listening %s", &s.Endpoint); err != nil {
			s.stop()
			t.Fatalf("%s said %q; %s", bin, text, logs.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not listen after 20 s", bin)
	}
	return s
}

// serverBinary finds the server, or skips the test with what to do about it.
func serverBinary(t testing.TB) string {
	t.Helper()
	if bin := os.Getenv(ServerVariable); bin != "" {
		abs, err := filepath.Abs(bin)
		if err != nil {
			t.Fatal(err)
		}
		return abs
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := wd; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		bin := filepath.Join(dir, "bin", "s3server")
		if _, err := os.Stat(bin); err == nil {
			return bin
		}
		break
	}
	t.Skipf("no S3 server: run `make test`, or build tools/s3server and set %s to it",
		ServerVariable)
	return ""
}
