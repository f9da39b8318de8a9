// Package frame carries protobuf messages over a byte stream: four bytes of little-endian length,
// then the message. It is the wire between a worker daemon and its rank processes.
//
// It never retries and never buffers across messages; a short or oversized frame is an error.
package frame
