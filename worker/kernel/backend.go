package kernel

// Backend runs programs on one device. A Backend belongs to one goroutine at a time; different
// Backends are independent (each has its own threads and memory). Any goroutine may call HostAdd.
type Backend interface {
	// Name is the backend and ISA class, such as "cpu/avx512". Part of what a run pins.
	Name() string
	// Alloc returns n zeroed elements, 64-byte aligned, or an error that says how much was asked.
	Alloc(n int, dt DType) (Tensor, error)
	// Free returns a tensor from Alloc (not a slice of one).
	Free(Tensor)
	// Run executes the ops in order and returns when their results are visible.
	Run(ops []Op) error
	// Host is a view of a F32 tensor in host memory: the memory itself where the device shares it.
	// It is valid until the tensor is freed. Backends with memory of their own return nil; use
	// Copy.
	Host(t Tensor) []float32
	// HostInts is Host for I32 tensors.
	HostInts(t Tensor) []int32
	// HostHalf is Host for BF16 tensors; see FromBF16.
	HostHalf(t Tensor) []uint16
	// HostAdd stores a[i] + b[i], rounded once, in dst[i]: the bits of the op Add. All are of one
	// length, in any memory of this process; dst may be a or b. It runs on the calling goroutine,
	// at any time and on any number of them, also while Run does.
	HostAdd(dst, a, b []float32)
	// Close frees everything the backend owns. No tensor may be used afterwards.
	Close()
}
