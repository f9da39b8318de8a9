// Package s3 is object storage behind any S3-compatible endpoint: store.Bucket over aws-sdk-go-v2.
// Only this package imports the SDK.
//
// It owns credentials (read from where the spec says, never logged: invariant I12), retries with
// jitter, watchdogs against silent servers, multipart uploads, and the translation of answers into
// store's error classes. It never interprets what an object holds.
//
//	c, err := s3.New(s3.Config{Endpoint: "http://127.0.0.1:9000", Credentials: "env"})
//	b := c.Bucket("ckpt")
//
// Every operation is cut into requests, and every request is tried up to Config.Tries times:
//
//	request --> answer 2xx: done
//	        --> 404, 403, 412, other 4xx: final, with its class
//	        --> 408, 409 (conditional), 429, 5xx, broken connection,
//	            no byte moved for Config.Stall: wait (exponential, full jitter), again
//
// The SDK's own retries are off, so that one place decides. A Put with ifAbsent whose first try
// was applied although its answer was lost meets its own object and answers ErrExists: callers
// compare contents then (checkpoint.Commit does).
//
// Uploads of 64 MiB or more go in parts, several at a time, straight from the body when it is an
// io.ReaderAt; a failed one is aborted, also when ctx has ended. The SDK's transfermanager was
// rejected: its checksum setting overrides the client's, and its retries know no watchdog.
package s3
