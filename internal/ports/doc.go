// Package ports chooses ports of 127.0.0.1 for servers that will listen at them later, and again
// after a restart.
//
// A port that the system hands out (port 0) lies in the range from which it also serves outgoing
// connections: let go of, it may belong to any of them a moment later. The ports of this package
// lie below that range, and no two holders, in this process or another, have the same one.
package ports
