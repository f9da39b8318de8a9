package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		os.Exit(runChild(config))
	}
	goleak.VerifyTestMain(m)
}

// cluster is a set of members in this process, on loopback.
type cluster struct {
	t      *testing.T
	root   string
	addrs  []string
	clubs  []string
	live   map[int]*Bus
	output *testkit.Output
}

const secret = "sesame-3141"

func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, root: t.TempDir(), live: map[int]*Bus{}, output: &testkit.Output{}}
	for range n {
		c.addrs, c.clubs = append(c.addrs, testkit.FreeAddr(t)), append(c.clubs, testkit.FreeAddr(t))
	}
	t.Cleanup(func() {
		for _, b := range c.live {
			b.Close()
		}
	})
	return c
}

func startCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := newCluster(t, n)
	for i := range n {
		c.start(i)
	}
	for _, b := range c.live {
		ready(t, b)
	}
	return c
}

func (c *cluster) dir(i int) string { return filepath.Join(c.root, fmt.Sprint("m", i)) }

func (c *cluster) config(i int) Config {
	cfg := Config{
		Name: fmt.Sprint("m", i), Dir: c.dir(i), Listen: c.addrs[i], Password: secret,
		Logger: zerolog.New(c.output), MaxBytes: 64 << 20,
	}
	if len(c.addrs) > 1 {
		cfg.ClusterListen, cfg.Routes, cfg.Replicas = c.clubs[i], c.clubs, min(3, len(c.addrs))
	}
	return cfg
}

func (c *cluster) start(i int) *Bus {
	c.t.Helper()
	b, err := Start(c.config(i))
	if err != nil {
		c.t.Fatalf("start m%d: %v", i, err)
	}
	c.live[i] = b
	return b
}

func (c *cluster) kill(i int) {
	c.live[i].Close()
	delete(c.live, i)
}

// streamLeader returns the member that leads the stream.
func (c *cluster) streamLeader() int {
	c.t.Helper()
	leader := -1
	testkit.Eventually(c.t, "stream leader", func() bool {
		for i, b := range c.live {
			if b.srv.JetStreamIsStreamLeader("$G", streamName) {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

func ready(t *testing.T, b *Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

func item(step uint64) *pb.WatchItem {
	return &pb.WatchItem{Item: &pb.WatchItem_Step{Step: &pb.StepRecord{Step: step, Loss: 1.5}}}
}

// publish retries like the package comment says, until the item is stored.
func publish(t *testing.T, b *Bus, run string, from, to uint64) {
	t.Helper()
	for s := from; s <= to; s++ {
		testkit.Eventually(t, fmt.Sprintf("acknowledgement of step %d", s), func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			return b.Publish(ctx, run, fmt.Sprint(run, "-", s), item(s)) == nil
		})
	}
}

func read(t *testing.T, b *Bus, run string) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	var steps []uint64
	err := b.Read(ctx, run, func(i *pb.WatchItem) error {
		steps = append(steps, i.GetStep().Step)
		return nil
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return steps
}

// follower collects what Follow delivers.
type follower struct {
	mu    sync.Mutex
	steps []uint64
	end   context.CancelFunc
	done  chan error
}

func follow(t *testing.T, b *Bus, run string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{end: cancel, done: make(chan error, 1)}
	go func() {
		f.done <- b.Follow(ctx, run, func(i *pb.WatchItem) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.steps = append(f.steps, i.GetStep().Step)
			return nil
		})
	}()
	t.Cleanup(cancel)
	return f
}

func (f *follower) seen() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]uint64(nil), f.steps...)
}

// wait waits until step n came, then checks that 1..n came once each and in order.
func (f *follower) wait(t *testing.T, n uint64) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("step %d at the follower", n), func() bool {
		s := f.seen()
		return len(s) > 0 && s[len(s)-1] >= n
	})
	checkSteps(t, f.seen(), n)
}

func checkSteps(t *testing.T, steps []uint64, n uint64) {
	t.Helper()
	if uint64(len(steps)) != n {
		t.Fatalf("%d items, want %d: %v", len(steps), n, steps)
	}
	for i, s := range steps {
		if s != uint64(i+1) {
			t.Fatalf("item %d is step %d: %v", i, s, steps)
		}
	}
}

func TestSingleMember(t *testing.T) {
	c := startCluster(t, 1)
	b := c.live[0]
	if got := read(t, b, "r"); len(got) != 0 {
		t.Errorf("history of an unknown run: %v", got)
	}
	publish(t, b, "r", 1, 700)
	publish(t, b, "other", 1, 3)
	publish(t, b, "r", 700, 700) // the same id again
	checkSteps(t, read(t, b, "r"), 700)
	checkSteps(t, read(t, b, "other"), 3)

	f := follow(t, b, "r")
	f.wait(t, 700)
	publish(t, b, "r", 701, 720)
	f.wait(t, 720)
	f.end()
	if err := <-f.done; !errors.Is(err, context.Canceled) {
		t.Errorf("follow ended with %v, want context.Canceled", err)
	}

	c.kill(0)
	b = c.start(0)
	checkSteps(t, read(t, b, "r"), 720)
	publish(t, b, "r", 721, 721)
	checkSteps(t, read(t, b, "r"), 721)
}

func TestReaderErrorEndsReading(t *testing.T) {
	c := startCluster(t, 1)
	publish(t, c.live[0], "r", 1, 5)
	halt := errors.New("enough")
	for name, f := range map[string]func(context.Context, string, func(*pb.WatchItem) error) error{
		"read": c.live[0].Read, "follow": c.live[0].Follow,
	} {
		n := 0
		err := f(context.Background(), "r", func(*pb.WatchItem) error {
			if n++; n == 3 {
				return halt
			}
			return nil
		})
		if !errors.Is(err, halt) || n != 3 {
			t.Errorf("%s: %v after %d items, want the reader's error after 3", name, err, n)
		}
	}
}

func TestPublishErrors(t *testing.T) {
	c := startCluster(t, 1)
	b, ctx := c.live[0], context.Background()
	for _, run := range []string{"", "a.b", "a b", "*", ">", "a\nb"} {
		if err := b.Publish(ctx, run, "id", item(1)); !errors.Is(err, ErrInvalid) {
			t.Errorf("run %q: %v, want ErrInvalid", run, err)
		}
		if err := b.Read(ctx, run, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("read run %q: %v, want ErrInvalid", run, err)
		}
	}
	if err := b.Publish(ctx, "r", "a\r\nb: c", item(1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("id of two lines: %v, want ErrInvalid", err)
	}
	big := &pb.WatchItem{Item: &pb.WatchItem_Event{
		Event: &pb.Event{Text: strings.Repeat("x", 2*maxPayload)},
	}}
	if err := b.Publish(ctx, "r", "big", big); !errors.Is(err, ErrInvalid) {
		t.Errorf("2 MiB: %v, want ErrInvalid", err)
	}
	past, cancel := context.WithCancel(ctx)
	cancel()
	if err := b.Publish(past, "r", "late", item(1)); !errors.Is(err, ErrUnavailable) ||
		!errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v, want ErrUnavailable and context.Canceled", err)
	}
	if err := b.nc.Publish(subject("r"), []byte("\xff\xff")); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "r", 1, 1)
	checkSteps(t, read(t, b, "r"), 1) // the foreign message is passed over
	f := follow(t, b, "r")
	f.wait(t, 1)
	c.kill(0)
	if err := <-f.done; !errors.Is(err, ErrClosed) {
		t.Errorf("follow at Close: %v, want ErrClosed", err)
	}
	if err := b.Publish(ctx, "r", "x", item(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("publish after Close: %v, want ErrClosed", err)
	}
}

func TestStartErrors(t *testing.T) {
	err := Config{Listen: "nowhere", Replicas: 3, MaxBytes: 5}.Validate()
	for _, want := range []string{"name is empty", "dir is empty", "nowhere", "without cluster",
		"max bytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := Config{Name: "x", Dir: t.TempDir(), Listen: taken.Addr().String(), Logger: zerolog.Nop()}
	if b, err := Start(cfg); err == nil {
		b.Close()
		t.Error("started on a port that is taken")
	} else if !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("error does not name the address: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Listen, cfg.Dir = "", file
	if b, err := Start(cfg); err == nil {
		b.Close()
		t.Error("started in a directory that is a file")
	} else if !strings.Contains(err.Error(), file) {
		t.Errorf("error does not name the directory: %v", err)
	}
}
