// Package grouptest is the contract of collective.Group as a test suite. A backend calls Run with
// a factory; it owns no backend and no fault that only one backend can have.
//
// Invariants: I3 (the ordered sum over the group is the same bits for every world).
package grouptest
