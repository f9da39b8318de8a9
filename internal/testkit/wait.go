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

// EventuallyWithin is Eventually for what a promise gives less time, or nature more. The condition
// is looked at once more when the time is over: this process may have been the one that slept.
func EventuallyWithin(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	end := time.NewTimer(within)
	defer end.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-end.C:
			if !ok() {
				t.Fatalf("waited %v for %s", within, what)
			}
			return
		}
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
