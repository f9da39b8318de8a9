// Package storetest is the contract of store.Bucket as tests: Run is called by every backend's own
// tests, so that code above the interface may rely on one behaviour. Package faulty beside it
// wraps a Bucket with faults. Only tests import either.
package storetest
