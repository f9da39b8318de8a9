package collective

import (
	"context"
	"fmt"
)

// Deliver is AllToAllFunc for backends whose AllToAll needs memory of its own for what arrives:
// take gets it when all of it is there, from the goroutine that waits.
func Deliver(g Group, counts []int, send [][]float32, take Take) Handle {
	recv := make([][]float32, len(counts))
	for r, n := range counts {
		if n > 0 { // AllToAll refuses what does not fit
			recv[r] = make([]float32, n)
		}
	}
	return &delivery{group: g, moved: g.AllToAll(recv, send), recv: recv, take: take}
}

type delivery struct {
	group Group
	moved Handle
	recv  [][]float32
	take  Take
	err   error
}

// Wait implements Handle.
func (d *delivery) Wait(ctx context.Context) error {
	if err := d.moved.Wait(ctx); err != nil {
		return err
	}
	recv := d.recv
	d.recv = nil // once, however often Wait is called
	for r, v := range recv {
		for at := 0; at < len(v); at += PieceElements {
			part := v[at:min(at+PieceElements, len(v))]
			if err := d.take(Rank(r), at, part); err != nil {
				d.group.Abort(err)
				d.err = fmt.Errorf("%w: %w", ErrAborted, err)
				return d.err
			}
		}
	}
	return d.err
}
