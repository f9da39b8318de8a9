package nccl

import "fmt"

// Version is a version of NCCL as it counts: 23007 is 2.30.7.
type Version int

// Oldest is the first version that has all that this package needs: non-blocking communicators
// with a configuration of the present layout.
const Oldest Version = 21800

func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", int(v)/10000, int(v)%10000/100, int(v)%100)
}

// ID names a communicator: who has it can connect.
type ID [128]byte
