package collective

import (
	"context"
	"errors"
)

// Rank is a process's number in its generation.
type Rank int

// Group is one communicator. Methods are to be called from one goroutine; Abort from any.
type Group interface {
	Rank() Rank
	Size() int
	// AllGather concatenates every rank's src into dst on every rank. counts[r] is the length of
	// rank r's part (it may be 0); len(src) == counts[Rank()]. src may be its own place in dst.
	AllGather(dst []float32, counts []int, src []float32) Handle
	// AllToAll sends send[r] to rank r and receives recv[r] from it. Lengths must agree pairwise:
	// len(send[r]) here == len(recv[me]) there; 0 sends nothing. send[me] is copied to recv[me].
	// It is the moving half of the ordered reduce-scatter.
	AllToAll(recv, send [][]float32) Handle
	// AllToAllFunc is AllToAll for arrivals that nobody needs to keep, such as partials to be
	// added: what rank r sends, counts[r] elements, goes to take, piece by piece, and no memory is
	// needed for it. counts[Rank()] is 0 and send[Rank()] empty. The ranks of one operation may
	// differ in whether they call it or AllToAll.
	AllToAllFunc(counts []int, send [][]float32, take Take) Handle
	// AllGatherBytes is AllGather of small, variable-size byte vectors (loss sums, flags, digests).
	// It blocks and returns every rank's vector, by rank.
	AllGatherBytes(ctx context.Context, mine []byte) ([][]byte, error)
	// Barrier blocks until every rank has called it.
	Barrier(ctx context.Context) error
	// Abort makes every pending and future operation fail with cause. Safe from any goroutine,
	// returns at once, may be called again.
	Abort(cause error)
	// Close ends the group in good order once this rank has completed its last operation; peers do
	// not take it for a death. A process that ends without Close counts as dead.
	Close() error
}

// PieceElements is the length of the pieces that Take gets, but for the last of a slice: 128 KiB,
// which are still in a cache when they have arrived.
const PieceElements = 32 << 10

// Take gets elements [at, at+len(part)) of what a rank sent; at is a multiple of PieceElements.
// Pieces of one rank come one after another, in order, while those of other ranks come at the same
// time. part is Take's until it returns, and may be changed. It must not wait for other ranks. An
// error aborts the group. The last call has returned when Wait does.
type Take func(from Rank, at int, part []float32) error

// Handle is an operation under way.
type Handle interface {
	// Wait blocks until the operation is done and its buffers are free again.
	Wait(ctx context.Context) error
}

// ErrAborted is in the chain of every error after Abort or a lost peer.
var ErrAborted = errors.New("collective aborted")
