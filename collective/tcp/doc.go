// Package tcp is the collective backend for hosts without a GPU fabric: a full mesh of connections
// between the ranks of one generation, in plain Go: TCP between hosts, and within one, where both
// ends agree, memory that both map (package shm). It moves bytes; it never adds
// (package tree does), never decides who is in a generation, and never reconnects: the first
// failure ends the Group, and a new generation makes a new one.
//
// Use:
//
//	l, err := tcp.Listen("127.0.0.1")    // tell l.Addr() to the others
//	g, err := l.Join(ctx, tcp.Config{Run: run, Generation: 3, Rank: 1, Peers: addrs})
//	h := g.AllGather(dst, counts, src)   // several may be in flight
//	err = h.Wait(ctx)
//	err = g.Close()                      // at the end of the work, on every rank
//
// # Wire
//
// The higher rank of a pair dials the lower, first the address's twin on this host and then, if
// there is none, the address, and sends a hello (hello.go: magic, version, run, generation, rank,
// target, world, checksum). The lower answers a welcome, or a refusal with its reason, which both
// sides log. Bytes that are no hello are closed without an answer. After the
// welcome both sides send frames (frame.go): a header of 128 bytes that names kind, sender,
// group, operation and lengths and carries checksums of the payload (XXH3, one a block of 128
// KiB) and of itself (CRC-32C), then at most 1 MiB of payload, which goes straight from and to
// the callers' slices; or, with AllToAllFunc, from one piece of memory a peer, or from where it
// lies if that is shared, to whoever takes it. A block is checked as soon as it has come, and no
// one gets it before.
// float32 travels as little-endian memory; Listen refuses big-endian hosts.
//
// An operation is one message a pair and direction, an empty one too: so both sides of every pair
// compare kind, number and counts for each operation, and a disagreement is an error on both.
//
// # Deadlock and memory
//
// Each peer has a sender and a receiver goroutine, fed with the operations in the order of the
// calls. A receiver reads payload only into a posted buffer; what is not posted yet waits in the
// socket or the ring, and when that is full the peer waits. This cannot deadlock as long as all
// ranks post the same operations in the same order: take the oldest operation that some pair has
// not finished. Both
// ranks have posted it or will, since posting never blocks and a rank waits only for operations it
// has posted, which are older; everything before it on the connection is finished; so the sender
// can send, and the receiver can take. Senders never wait for receivers of the same rank, nor one
// pair for another, but for a moment in AllToAllFunc (pace.go).
// Memory beyond the callers' buffers is the vectors of AllGatherBytes (at most 16 MiB each), a
// piece of 128 KiB a peer, and the kernel's socket buffers or 2 MiB that a pair shares. The
// buffers are left to the kernel's own tuning: a size set by hand is cut to
// net.core.{r,w}mem_max, often 208 KiB, and turns the tuning off.
//
// # Failures
//
// A lost connection, a bad checksum, a disagreement or a stall (nothing moved for OpTimeout) with
// one peer aborts the whole Group with a PeerError that names rank, operation and number; the
// abort is told to the other peers, so that they name the same culprit. Abort unblocks everything
// at once; Wait returns when no goroutine touches the buffers any more: within
// milliseconds, and within 100 ms if a peer does not take what was half sent.
//
// There is no authentication or encryption: a caller that knows run, generation and a free rank
// can join. The data network must be private.
//
// Invariants: I3 (bytes arrive as sent or not at all), I8 (Abort is immediate), I13 (foreign,
// stale and corrupt input is refused with a reason, allocates little and holds up nobody).
package tcp
