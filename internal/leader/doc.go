// Package leader finds the leader among the coordinators, for clients and workers alike.
//
// Any member answers "not me, try that one" with a NotLeader detail; a dead member does not
// answer. A Finder follows the hints, walks the list when there is none, and keeps one connection
// an address. It never decides whether a call may be repeated: Do is for calls that may.
package leader
