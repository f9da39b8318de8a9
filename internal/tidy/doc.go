// Package tidy holds the house rules as a test: `go test ./internal/tidy`.
//
// It owns the table of who may import whom (imports_test.go), the budgets of size (size_test.go),
// the habits of code and tests (habits_test.go), and the promise that the documents name only what
// exists (docs_test.go, twins_test.go). It has no code that others could import, changes no file,
// and needs neither the network nor the go command: it walks the tree and parses.
//
// Every rule is a function from a repo (repo_test.go) to the places that break it, so that
// rules_test.go can show each of them a small repo in memory that must fail and one that must pass.
// Exceptions are lists that can only shrink: an entry that is no longer needed fails like a
// violation.
package tidy
