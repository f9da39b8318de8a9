// Package shm is a connection between two processes of one host through memory that both map: a
// net.Conn in which bytes are copied twice, once by each process, and no protocol of the kernel
// takes part. Package tcp uses it between ranks that share a host, where it carries about half as
// many bytes again as a socket on the loopback does in the same processor time.
//
// A listener of TCP has a twin here, an abstract Unix socket named after its address (Listen).
// Those names are of one network namespace, as the address is, so who reaches the twin (Dial) would
// have reached the same process by TCP, on this host; everybody else is told at once that there is
// none, and uses TCP. Dialer and acceptor check that the other has the same user. Then the dialer
// makes the memory, sealed against shrinking, and sends it over (Accept takes it).
//
// Each direction is a ring (ring.go) with one writer and one reader. Who finds nothing to do says
// so in the memory and sleeps on a socket until the other writes a byte to it: two sockets, one for
// sleeping readers and one for sleeping writers. Their deadlines are those of the connection, and
// their end is the end of the other process, after which a reader still gets what lies in the ring.
//
// What the other process writes into the memory is not trusted: positions are checked at every
// turn. Checksums are the business of who uses the connection.
//
// Linux only: elsewhere Listen and Dial answer errors.ErrUnsupported.
package shm
