package cluster

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/internal/testkit"
)

// TestMetricsGoOnWithoutTheLeader: what Prometheus scrapes from one place tells of a run to its
// end, whoever leads.
func TestMetricsGoOnWithoutTheLeader(t *testing.T) {
	c := newCluster(t, 3, 1)
	addr := testkit.FreeAddr(t)
	spawn(t, "metrics", c.path("metrics.log"), c.env, "metrics", "--addr", c.addr(), "--listen", addr)
	scrape := func() string {
		r, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			return err.Error()
		}
		defer func() { _ = r.Body.Close() }()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	await := func(lines ...string) {
		t.Helper()
		testkit.EventuallyWithin(t, time.Minute, fmt.Sprintf("lines %q of %s", lines, addr), func() bool {
			page := scrape()
			for _, line := range lines {
				if !strings.Contains(page, "\n"+line) {
					return false
				}
			}
			return true
		})
	}
	await("banyan_up 1\n", `banyan_worker_live{worker="w1"} 1`)
	run := c.launch(long)
	w := c.watch(run)
	await(fmt.Sprintf("banyan_run_step{run=%q} ", run))
	c.procs[c.leader()].kill()
	last := w.finish()
	s := last[len(last)-1]
	await(fmt.Sprintf("banyan_run_state{name=%q,run=%q,state=\"SUCCEEDED\"} 1\n",
		c.run(run).GetResolved().GetSpec().GetName(), run),
		fmt.Sprintf("banyan_run_step{run=%q} %d\n", run, longSteps),
		fmt.Sprintf("banyan_run_loss_nats{run=%q} %v\n", run, s.GetLoss()),
		fmt.Sprintf("banyan_run_tokens_total{run=%q} %d\n", run, s.GetTokens()))
}
