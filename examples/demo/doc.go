// Command demo is `make demo`: see package internal/demo for what it does and checks.
//
//	make build s3server && go run ./examples/demo
//
// It prints "demo: PASS" and exits with 0, or "demo: FAIL: ..." with the first thing that was not
// as promised and exits with 1, also when it is interrupted.
package main
