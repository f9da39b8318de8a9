// Package testkit holds what tests of several packages share. Only tests import it.
//
// A transcript is a file of lines that happen, each followed by indented lines of what came of it.
// Transcripts plays every file again and compares; `go test ./PACKAGE -update` writes them anew.
//
// Tests never sleep and never prove by the clock: Eventually waits for a condition, as long as a
// starved machine may need. FreeAddr is for servers that keep their address over a restart.
package testkit
