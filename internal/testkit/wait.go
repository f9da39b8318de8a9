package testkit

import (
	"testing"
	"time"

	"github.com/banyan-train/banyan/internal/ports"
)

// Patience bounds every wait for what must happen. It says nothing about speed: a test machine may
// starve a process for many seconds, and only what never comes should cost so long.
const Patience = 2 * time.Minute

// Eventually waits until ok holds; what is the rest of "waited for ...".
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	EventuallyWithin(t, Patience, what, ok)
}

// look is how often a condition is looked at.
const look = 5 * time.Millisecond

// EventuallyWithin is Eventually for what is promised within a time. A promise holds on a machine
// that works: of a pause in which this process could not look, only the first moment counts.
func EventuallyWithin(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(look)
	defer tick.Stop()
	last := time.Now()
	for waited := time.Duration(0); !ok(); {
		if waited >= within {
			t.Fatalf("waited %v for %s", within, what)
		}
		now := <-tick.C
		waited += min(now.Sub(last), 2*look)
		last = now
	}
}

// FreeAddr is a loopback address for a server of this test that is stopped and started again: until
// the test ends, no other test is given it, and no outgoing connection takes it.
func FreeAddr(t testing.TB) string {
	t.Helper()
	p, err := ports.Hold()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p.Addr()
}
