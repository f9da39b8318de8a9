package telemetry

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/banyan-train/banyan/internal/testkit"
)

const childEnv = "BANYAN_TEST_TELEMETRY_CONFIG"

// runChild is a member in a process of its own, until its standard input ends.
func runChild(config string) int {
	var cfg Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	cfg.Logger = zerolog.Nop()
	b, err := Start(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	b.Close()
	return 0
}

// The stream's leader is killed with SIGKILL: unlike one that closes, it hands nothing over, and
// NATS waits 4 to 9 s (not to be configured) before it elects another. Readers go on meanwhile; a
// publisher must wait, and nothing acknowledged is lost.
func TestI11LeaderProcessKilled(t *testing.T) {
	c := newCluster(t, 3)
	cfg := c.config(2)
	cfg.Logger = zerolog.Logger{}
	config, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+string(config))
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe() // held open: the child ends with this process
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()         // killed
	defer func() { _ = child.Process.Kill() }() // again, when the test ended early
	a, z := c.start(0), c.start(1)
	ready(t, a)
	f := follow(t, z, "r")
	publish(t, a, "r", 1, 50)
	testkit.Eventually(t, "leadership of the child", func() bool {
		for _, b := range []*Bus{a, z} {
			if b.srv.JetStreamIsStreamLeader("$G", streamName) {
				// Its answer does not matter: what counts is who leads afterwards.
				_, _ = b.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+streamName,
					[]byte(`{"placement":{"preferred":"m2"}}`), time.Second)
				return false
			}
		}
		return true
	})
	publish(t, a, "r", 51, 60)

	killed := time.Now()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	checkReadable(t, z, 60)
	t.Logf("SIGKILL of the stream's leader to history read elsewhere: %v", time.Since(killed))
	publish(t, a, "r", 61, 61)
	t.Logf("... to the next acknowledged item: %v", time.Since(killed))
	f.wait(t, 61)
	t.Logf("... and at a follower: %v", time.Since(killed))
	checkSteps(t, read(t, z, "r"), 61)
}

// checkReadable follows from the start: that needs no leader.
func checkReadable(t *testing.T, b *Bus, n uint64) {
	t.Helper()
	f := follow(t, b, "r")
	f.wait(t, n)
	f.end()
	<-f.done
}
