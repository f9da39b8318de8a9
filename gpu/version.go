package gpu

import "fmt"

// Version is a version of CUDA as its libraries count: 12040 is 12.4.
type Version int

// Major is the part that decides what works with what.
func (v Version) Major() int { return int(v) / 1000 }

// Minor is the rest.
func (v Version) Minor() int { return int(v) % 1000 / 10 }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major(), v.Minor()) }

// Arch is the compute capability of a device: 90 is sm_90.
type Arch int

func (a Arch) String() string { return fmt.Sprintf("sm_%d", int(a)) }

// The oldest that Banyan works with, and why.
const (
	// MinDriver has every function of gpu/cuda's list that is not optional, and loads sm_90.
	MinDriver Version = 12000
	// MinNCCL, in NCCL's own numbers, is the first with all that collective/nccl calls.
	MinNCCL = 21800
	// MinArch is the first with arithmetic in bfloat16 (A100).
	MinArch Arch = 80
)
