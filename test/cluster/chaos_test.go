package cluster

import (
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const (
	chaosKills = 10
	// Ranks step on for a second or two while there is no leader.
	chaosSpec = "train.steps=400"
	chaosLast = 300 // the last step at which something is killed
)

// chaosSeed is fixed unless the environment gives one, and printed either way.
func chaosSeed(t *testing.T) uint64 {
	seed := uint64(20)
	if s := os.Getenv("BANYAN_CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("BANYAN_CHAOS_SEED: %v", err)
		}
	}
	t.Logf("BANYAN_CHAOS_SEED=%d", seed)
	return seed
}

// TestI2I3I11_TenRandomKillsEqualTheControl kills ranks, workers and leaders at random steps of
// one run. A watcher that is connected the whole time sees the control's curve.
func TestI2I3I11_TenRandomKillsEqualTheControl(t *testing.T) {
	want := control(t, chaosSpec)
	seed := chaosSeed(t)
	random := rand.New(rand.NewPCG(seed, seed))
	c := newCluster(t, 3, 3)
	run := c.launch(chaosSpec, "resources.workers=1..3")
	w := c.watch(run)
	steps := make([]uint64, chaosKills)
	for i := range steps {
		steps[i] = 1 + random.Uint64N(chaosLast)
	}
	slices.Sort(steps)
	x := &chaos{cluster: c, random: random, run: run, killed: map[string]int{}}
	for i, step := range steps {
		w.awaitStep(step)
		x.revive()
		x.strike(i)
	}
	x.revive()
	want.same(t, w.finish(), c.digest(run))
	c.awaitNoGarbage(run)
	t.Logf("%v; %d generations, %d rewinds", x.killed, c.run(run).GetGeneration(),
		w.count(pb.EventKind_REWIND))
}

// chaos kills processes and brings them back.
type chaos struct {
	*cluster
	random *rand.Rand
	run    string
	down   []string
	killed map[string]int
}

// strike kills one thing. The first strikes make sure that every kind is hit.
func (x *chaos) strike(i int) {
	kinds := []func() (string, bool){x.killLeader, x.killWorker, x.killRank}
	from := i
	if i >= len(kinds) {
		from = x.random.IntN(len(kinds))
	}
	for k := range kinds { // when there is no rank just now, something else
		if what, ok := kinds[(from+k)%len(kinds)](); ok {
			x.killed[what]++
			x.t.Logf("%s kill %d: %s", time.Now().Format("05.000"), i+1, what)
			return
		}
	}
	x.t.Fatal("nothing to kill")
}

func (x *chaos) killLeader() (string, bool) {
	name := x.leader()
	x.procs[name].kill()
	x.down = append(x.down, name)
	return "leader", true
}

func (x *chaos) killWorker() (string, bool) {
	workers := x.alive('w')
	if len(workers) == 0 {
		return "", false
	}
	name := workers[x.random.IntN(len(workers))]
	x.procs[name].kill()
	x.down = append(x.down, name)
	return "worker", true
}

func (x *chaos) killRank() (string, bool) {
	var pids []int
	for _, name := range x.alive('w') {
		pids = append(pids, x.procs[name].ranks()...)
	}
	if len(pids) == 0 {
		return "", false
	}
	return "rank", syscall.Kill(pids[x.random.IntN(len(pids))], syscall.SIGKILL) == nil
}

// revive starts again what an earlier strike killed: a coordinator before the next strike, so
// that the group keeps its majority; a worker only after another strike has hit without it.
func (x *chaos) revive() {
	x.t.Helper()
	for _, name := range x.down {
		x.start(name)
	}
	x.down = nil
}

// alive lists the running processes whose name begins with kind, in order.
func (x *chaos) alive(kind byte) []string {
	var out []string
	for name := range x.procs {
		if name[0] == kind && x.running(name) {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}

// awaitNoGarbage waits until a run's folder holds the checkpoints on record, and no others: what
// the dead were uploading has been swept, what was retired has been deleted. (A file that a writer
// was killed over is no object; its store takes it away after an hour.)
func (c *cluster) awaitNoGarbage(run string) {
	c.t.Helper()
	var want []string
	for _, ref := range c.run(run).GetCheckpoints() {
		want = append(want, filepath.Dir(strings.TrimPrefix(ref.GetUri(), "file://")))
	}
	slices.Sort(want)
	testkit.EventuallyWithin(c.t, runWithin, "a folder without garbage", func() bool {
		objects, err := filepath.Glob(filepath.Join(c.path("ckpt"), run, "step-*", "gen-*", "[^.]*"))
		var got []string
		for _, name := range objects {
			got = append(got, filepath.Dir(name))
		}
		return err == nil && slices.Equal(slices.Compact(got), want)
	})
}
