package nccl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/grouptest"
	"github.com/banyan-train/banyan/collective/nccl"
	"github.com/banyan-train/banyan/collective/nccl/fake"
	"github.com/banyan-train/banyan/collective/tcp"
	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	cudafake "github.com/banyan-train/banyan/gpu/fake"
)

func TestMain(m *testing.M) {
	if os.Getenv(envRank) != "" {
		rankMain()
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds what a test waits for. Nothing in a test that passes takes long.
const patience = 2 * time.Minute

// machine is a host with fake GPUs and a fake NCCL.
type machine struct {
	dir    string
	driver *cuda.Driver
	lib    *nccl.Library
	opened []*cuda.Device // so far; they serve one world after another
}

// newMachine builds the libraries, without some functions of NCCL's, and loads them.
func newMachine(t testing.TB, without ...string) *machine {
	t.Helper()
	m := &machine{dir: cudafake.Build(t, cudafake.Options{Faults: "devices 5"})}
	fake.Build(t, m.dir, without...)
	if err := m.load(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, dev := range m.opened {
			if err := dev.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return m
}

func (m *machine) load() (err error) {
	search := gpu.Search{Named: []string{m.dir}}
	if m.driver, err = cuda.Load(search); err != nil {
		return err
	}
	m.lib, err = nccl.Open(search, nil)
	return err
}

// devices opens a device for each rank.
func (m *machine) devices(t testing.TB, world int) []*cuda.Device {
	t.Helper()
	for len(m.opened) < world {
		dev, err := m.driver.Open(len(m.opened), cuda.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m.opened = append(m.opened, dev)
	}
	return m.opened[:world]
}

// mesh makes the control groups of a world.
func mesh(t testing.TB, world int) []*tcp.Group {
	t.Helper()
	listeners, peers := make([]*tcp.Listener, world), make([]string, world)
	for r := range listeners {
		l, err := tcp.Listen("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		listeners[r], peers[r] = l, l.Addr()
	}
	groups := make([]*tcp.Group, world)
	each(t, world, func(ctx context.Context, r int) (err error) {
		groups[r], err = listeners[r].Join(ctx, tcp.Config{Run: "run-1", Generation: 3,
			Rank: collective.Rank(r), Peers: peers, OpTimeout: patience})
		return err
	})
	return groups
}

// each calls f for every rank at once.
func each(t testing.TB, world int, f func(ctx context.Context, rank int) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all errgroup.Group
	for r := range world {
		all.Go(func() error {
			if err := f(ctx, r); err != nil {
				return fmt.Errorf("rank %d: %w", r, err)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// open makes the groups of a world on given devices.
func (m *machine) open(t testing.TB, devices []*cuda.Device) []*nccl.Group {
	t.Helper()
	return m.openWith(t, devices, 1<<20)
}

func (m *machine) openWith(t testing.TB, devices []*cuda.Device, staging int) []*nccl.Group {
	t.Helper()
	world := len(devices)
	control, groups := mesh(t, world), make([]*nccl.Group, world)
	each(t, world, func(ctx context.Context, r int) (err error) {
		groups[r], err = nccl.Join(ctx, nccl.Config{Library: m.lib, Device: devices[r],
			Control: control[r], OpTimeout: patience, AbortTimeout: patience,
			CauseTimeout: patience, Staging: staging})
		return err
	})
	t.Cleanup(func() { closeAll(t, groups) })
	return groups
}

// closeAll closes the groups; one that a test killed may end as it likes, but its abort must work.
func closeAll(t testing.TB, groups []*nccl.Group) {
	var all errgroup.Group
	for _, g := range groups {
		all.Go(func() error {
			if err := g.Close(); errors.Is(err, nccl.ErrAbortHangs) {
				return err
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

func (m *machine) factory(t testing.TB, world int) []collective.Group {
	groups := m.open(t, m.devices(t, world))
	out := make([]collective.Group, world)
	for i, g := range groups {
		out[i] = g
	}
	return out
}

func TestContract(t *testing.T) { grouptest.Run(t, newMachine(t).factory) }

func TestI3_OrderedSumIsTheSameBitsForEveryWorld(t *testing.T) {
	grouptest.OrderedSum(t, newMachine(t).factory)
}

// TestNextGeneration: a group that died leaves its device to the next one.
func TestNextGeneration(t *testing.T) {
	m := newMachine(t)
	devices := m.devices(t, 3)
	for range 3 {
		groups, ended := m.open(t, devices), make(chan struct{})
		each(t, len(groups), func(ctx context.Context, r int) error {
			if r == 0 { // it comes late: the others wait inside of NCCL
				<-ended
			}
			h := groups[r].AllGather(make([]float32, 3<<20), []int{1 << 20, 1 << 20, 1 << 20},
				make([]float32, 1<<20))
			if r == 1 {
				groups[1].Abort(errors.New("the generation has ended"))
				close(ended)
			}
			if err := h.Wait(ctx); !errors.Is(err, collective.ErrAborted) {
				return fmt.Errorf("error %w, want an abort", err)
			}
			if err := groups[r].Close(); err == nil ||
				!strings.Contains(err.Error(), "the generation has ended") {
				return fmt.Errorf("close: %w", err)
			}
			return nil
		})
	}
	closeAll(t, m.open(t, devices))
}

// TestPiecesNeedNoMemory: what AllToAllFunc hands on is nowhere as a whole.
func TestPiecesNeedNoMemory(t *testing.T) {
	m := newMachine(t)
	groups := m.open(t, m.devices(t, 2))
	const n = 16 << 20 / 4
	send := make([]float32, n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	each(t, 2, func(ctx context.Context, r int) error {
		counts, sends := []int{n, n}, [][]float32{send, send}
		counts[r], sends[r] = 0, nil
		come := 0
		h := groups[r].AllToAllFunc(counts, sends,
			func(_ collective.Rank, _ int, part []float32) error {
				come += len(part)
				return nil
			})
		if err := h.Wait(ctx); err != nil {
			return err
		}
		if come != n {
			return fmt.Errorf("%d of %d elements have come", come, n)
		}
		return nil
	})
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4*n/8 {
		t.Errorf("%d bytes of memory to receive %d on each of two ranks", used, 4*n)
	}
}

// TestStagingDiffers: NCCL would not notice that chunks do not fit.
func TestStagingDiffers(t *testing.T) {
	m := newMachine(t)
	devices, control := m.devices(t, 2), mesh(t, 2)
	each(t, 2, func(ctx context.Context, r int) error {
		g, err := nccl.Join(ctx, nccl.Config{Library: m.lib, Device: devices[r],
			Control: control[r], Staging: (r + 1) << 20})
		if g != nil || err == nil || !strings.Contains(err.Error(),
			"rank 1 has staging buffers of 2097152 bytes, rank 0 of 1048576") {
			return fmt.Errorf("%v with error %w", g, err)
		}
		return nil
	})
}

// TestCloseTwice: in good order there is no error, then or later.
func TestCloseTwice(t *testing.T) {
	m := newMachine(t)
	groups := m.open(t, m.devices(t, 2))
	each(t, 2, func(ctx context.Context, r int) error {
		err := errors.Join(groups[r].Barrier(ctx), groups[r].Close(), groups[r].Close())
		if late := groups[r].Barrier(ctx); !errors.Is(late, nccl.ErrClosed) ||
			!errors.Is(late, collective.ErrAborted) {
			return fmt.Errorf("after Close: %w", late)
		}
		return err
	})
}

// TestKindsDiffer: one rank gathers while the other exchanges, of the same sizes.
func TestKindsDiffer(t *testing.T) {
	m := newMachine(t)
	groups := m.open(t, m.devices(t, 2))
	each(t, 2, func(ctx context.Context, r int) error {
		var h collective.Handle
		if r == 0 {
			h = groups[r].AllGather(make([]float32, 2), []int{1, 1}, make([]float32, 1))
		} else {
			h = groups[r].AllToAll([][]float32{{1}, {2}}, [][]float32{{3}, {4}})
		}
		// One of the two may be done before it hears.
		err := errors.Join(h.Wait(ctx), groups[r].Barrier(ctx))
		if !errors.Is(err, collective.ErrAborted) || !strings.Contains(err.Error(), "calls All") {
			return fmt.Errorf("error %w, want one that names what the other calls", err)
		}
		return nil
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := cudafake.Build(t, cudafake.Options{})
	search := gpu.Search{Named: []string{dir}}
	check := func(name, want string, set map[string]string) {
		t.Helper()
		if _, err := nccl.Open(search, set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", name, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "libnccl.so.2"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	check("no library", "load libnccl from a folder", nil)
	fake.Build(t, dir, "ncclBroadcast", "ncclCommAbort")
	check("missing symbols", "it has no ncclCommAbort, ncclBroadcast", nil)
	check("a setting", "NCCL_COMM_ID: is not to be set", map[string]string{"NCCL_COMM_ID": "x"})
	t.Run("environment", func(t *testing.T) {
		t.Setenv("NCCL_COMM_BLOCKING", "1")
		check("the environment", "NCCL_COMM_BLOCKING: stands in the environment", nil)
	})
	dir = cudafake.Build(t, cudafake.Options{})
	fake.Build(t, dir)
	search = gpu.Search{Named: []string{dir}}
	t.Setenv(fake.EnvFaults, "version=21704")
	check("old", "it is NCCL 2.17.4; want 2.18.0 or newer", nil)
}
