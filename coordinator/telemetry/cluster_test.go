package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// The stream's leader dies, with a reader on it, on a follower and live at another; then it comes
// back with its directory deleted.
func TestI11MembersDie(t *testing.T) {
	begin := time.Now()
	c := startCluster(t, 3)
	t.Logf("three members, stream ready: %v", time.Since(begin))
	lead := c.streamLeader()
	a, z := (lead+1)%3, (lead+2)%3
	publish(t, c.live[a], "r", 1, 300)
	fa, fz := follow(t, c.live[a], "r"), follow(t, c.live[z], "r")
	fl := follow(t, c.live[lead], "r")
	fa.wait(t, 300)
	fl.wait(t, 300)

	killed := time.Now()
	c.kill(lead)
	if err := <-fl.done; !errors.Is(err, ErrClosed) {
		t.Errorf("follow on the dead member: %v, want ErrClosed", err)
	}
	publish(t, c.live[a], "r", 301, 301)
	t.Logf("kill of the stream's leader to the next acknowledged item: %v", time.Since(killed))
	fz.wait(t, 301)
	t.Logf("... and at a follower elsewhere: %v", time.Since(killed))
	publish(t, c.live[z], "r", 302, 400)
	fa.wait(t, 400)
	checkSteps(t, read(t, c.live[z], "r"), 400)

	if err := os.RemoveAll(c.dir(lead)); err != nil {
		t.Fatal(err)
	}
	back := c.start(lead)
	ready(t, back)
	publish(t, back, "r", 401, 450)
	checkSteps(t, read(t, back, "r"), 450)
	fb := follow(t, back, "r")
	fb.wait(t, 450)

	caughtUp := time.Now()
	testkit.Eventually(t, "copy at the returned member", func() bool { return current(c.live[a]) })
	t.Logf("deleted directory to a full copy: %v", time.Since(caughtUp))
	c.kill(a) // the returned member is now needed for a majority
	publish(t, back, "r", 451, 460)
	fb.wait(t, 460)
	fz.wait(t, 460)
	checkSteps(t, read(t, c.live[z], "r"), 460)
	if strings.Contains(c.output.String(), secret) {
		t.Error("I12: the password is in the log")
	}
}

// current says whether every replica of the stream has all of it.
func current(b *Bus) bool {
	s, err := b.js.Stream(context.Background(), streamName)
	if err != nil {
		return false
	}
	cluster := s.CachedInfo().Cluster
	for _, r := range cluster.Replicas {
		if !r.Current || r.Offline {
			return false
		}
	}
	return cluster.Leader != "" && len(cluster.Replicas) == 2
}

func TestMembersStartOneByOne(t *testing.T) {
	c := newCluster(t, 3)
	b := c.start(2)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := b.Ready(ctx); !errors.Is(err, ErrUnavailable) {
		t.Errorf("one of three: %v, want ErrUnavailable", err)
	}
	if err := b.Publish(ctx, "r", "1", item(1)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("publish: %v, want ErrUnavailable", err)
	}
	if err := b.Read(ctx, "r", nil); !errors.Is(err, ErrUnavailable) &&
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read: %v, want ErrUnavailable", err)
	}
	f := follow(t, b, "r") // waits for the stream
	c.start(0)
	c.start(1)
	ready(t, b)
	publish(t, c.live[0], "r", 1, 20)
	f.wait(t, 20)
}

// A majority lost its directories, so the stream is another one. A follower begins with it; its
// reader sees steps again that it has seen, and none is missing.
func TestStreamWiped(t *testing.T) {
	c := startCluster(t, 3)
	publish(t, c.live[0], "r", 1, 50)
	f := follow(t, c.live[0], "r")
	f.wait(t, 50)
	if err := c.live[0].js.DeleteStream(context.Background(), streamName); err != nil {
		t.Fatal(err)
	}
	publish(t, c.live[1], "r", 51, 160) // past the follower's old position
	// The reader may first go on at its old position, and begins anew when it has looked.
	testkit.Eventually(t, "every step of both streams", func() bool {
		seen := map[uint64]bool{}
		for _, s := range f.seen() {
			seen[s] = true
		}
		return len(seen) == 160
	})
}

// A follower that has read before it could learn which stream it reads (no leader answered) finds
// out by the last item that it has read.
func TestStreamWipedBeforeItWasKnown(t *testing.T) {
	b := startCluster(t, 1).live[0]
	ctx := t.Context()
	half := func() *reader {
		f, err := b.newFetcher("r")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.close)
		r := &reader{bus: b, f: f, run: "r", next: 1,
			fn: func(*pb.WatchItem) error { return nil }}
		testkit.Eventually(t, "50 items", func() bool {
			msgs, _, _ := r.fetch(ctx)
			return r.pass(msgs) == nil && r.next == 51
		})
		return r
	}
	learn := func(r *reader) {
		testkit.Eventually(t, "an answer about the stream", func() bool {
			r.checkStream(ctx)
			return !r.created.IsZero()
		})
	}
	publish(t, b, "r", 1, 50)
	same, other, fewer, reading := half(), half(), half(), half()
	testkit.Eventually(t, "the end of the stream that is read", func() bool {
		msgs, _, err := reading.fetch(ctx)
		if errors.Is(err, errAnew) || len(msgs) > 0 {
			t.Fatalf("%d more items in the stream that is read: %v", len(msgs), err)
		}
		return err == nil
	})
	for _, r := range []*reader{same, {bus: b, f: same.f, next: 1}} {
		next := r.next
		if learn(r); r.next != next {
			t.Errorf("begins at %d of the stream that it reads, want %d", r.next, next)
		}
	}
	if err := b.js.DeleteStream(ctx, streamName); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "r", 51, 60)
	if learn(fewer); fewer.next != 1 {
		t.Errorf("reads on at %d of a stream of 10 items", fewer.next)
	}
	publish(t, b, "r", 61, 160) // now there is another item in the place of the last one read
	testkit.Eventually(t, "news of another stream", func() bool {
		msgs, _, err := reading.fetch(ctx)
		if len(msgs) > 0 {
			t.Fatal("a batch of another stream is taken for the next one")
		}
		return errors.Is(err, errAnew)
	})
	if learn(other); other.next != 1 {
		t.Errorf("reads on at %d of another stream", other.next)
	}
}

// A reader that does not come back from fn leaves nothing behind in the server, and gets everything
// once it goes on.
func TestI11SlowFollowerCostsNothing(t *testing.T) {
	c := startCluster(t, 1)
	b := c.live[0]
	gate, entered := make(chan struct{}), make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const followers, items, size = 4, 300, 64 << 10 // 19 MiB behind each
	done := make(chan error, followers)
	counts := make(chan int, followers)
	enough := errors.New("enough")
	for range followers {
		go func() {
			n := 0
			done <- b.Follow(ctx, "r", func(*pb.WatchItem) error {
				select {
				case entered <- struct{}{}:
				default:
				}
				<-gate
				if n++; n == items {
					counts <- n
					return enough
				}
				return nil
			})
		}()
	}
	before := heap()
	pad := strings.Repeat("x", size)
	for i := range items {
		event := &pb.Event{Index: uint64(i), Text: pad}
		it := &pb.WatchItem{Item: &pb.WatchItem_Event{Event: event}}
		testkit.Eventually(t, fmt.Sprint("acknowledgement of item ", i), func() bool {
			return b.Publish(ctx, "r", fmt.Sprint(i), it) == nil
		})
	}
	<-entered
	// The server's cache of the stream (here all of it) is one for all followers.
	grown, limit := int64(0), int64(items*size+followers*(4<<20))
	testkit.Eventually(t, fmt.Sprintf("heap within %d MiB", limit>>20), func() bool {
		grown = int64(heap()) - int64(before)
		return grown < limit
	})
	if v, err := b.srv.Connz(nil); err != nil || v.Conns[0].Pending > 8<<20 {
		t.Errorf("server's pending bytes: %+v, %v", v, err)
	}
	t.Logf("%d stalled followers, %d MiB behind each: heap grew by %d KiB",
		followers, items*size>>20, grown>>10)
	close(gate)
	for range followers {
		if err := <-done; !errors.Is(err, enough) {
			t.Fatalf("follow: %v", err)
		}
		if n := <-counts; n != items {
			t.Errorf("%d items, want %d", n, items)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
