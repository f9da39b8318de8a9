package tcp

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/tree"
)

var benchSizes = []int{1 << 20, 4 << 20, 16 << 20, 64 << 20} // bytes of the whole vector

// cpu is the processor time of this process so far. On a busy host it is a better measure than the
// clock: what an operation costs does not depend on who else runs.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bare moves n bytes each way over every pair of a world with plain reads and writes, iters times,
// and answers the time and processor time it took: the most that sockets give on this host.
func bare(b *testing.B, world, n, iters int) (took, work time.Duration) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	var ends []net.Conn
	for range world * (world - 1) / 2 {
		near, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		far, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		ends = append(ends, near, far)
	}
	start, before := time.Now(), cpu(b)
	var all errgroup.Group
	for _, c := range ends {
		all.Go(func() error {
			buf := make([]byte, n)
			for range iters {
				for at := 0; at < n; at += maxChunk {
					if _, err := c.Write(buf[at:min(at+maxChunk, n)]); err != nil {
						return err
					}
				}
			}
			return nil
		})
		all.Go(func() error {
			buf := make([]byte, n)
			for range iters {
				if _, err := io.ReadFull(c, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	took, work = time.Since(start), cpu(b)-before
	for _, c := range ends {
		_ = c.Close()
	}
	return took, work
}

// ranks runs f on every rank and reports MB/s of the bytes on the wire and the ratio to bare.
func ranks(b *testing.B, world, size int, f func(g collective.Group, iters int) error) {
	part := size / 4 / world * 4 // bytes from one rank to another
	groups := open(b, world, opTimeout, nil)
	wire := part * world * (world - 1)
	b.SetBytes(int64(wire))
	b.ResetTimer()
	before := cpu(b)
	var all errgroup.Group
	for _, g := range groups {
		all.Go(func() error { return f(g, b.N) })
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	ours, work := b.Elapsed(), cpu(b)-before
	closeAll(groups)
	bareTime, bareWork := bare(b, world, part, b.N)
	b.ReportMetric(float64(bareTime)/float64(ours), "speed/bare")
	b.ReportMetric(float64(work)/float64(bareWork), "cpu/bare")
}

func benchmark(b *testing.B, f func(g collective.Group, part, iters int) error) {
	for world := 2; world <= 4; world++ {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("W=%d/%dMiB", world, size>>20), func(b *testing.B) {
				ranks(b, world, size, func(g collective.Group, iters int) error {
					return f(g, size/4/world, iters)
				})
			})
		}
	}
}

func BenchmarkAllGather(b *testing.B) {
	benchmark(b, func(g collective.Group, part, iters int) error {
		counts := slices.Repeat([]int{part}, g.Size())
		dst := make([]float32, part*g.Size())
		src := dst[part*int(g.Rank()):][:part]
		for range iters {
			if err := g.AllGather(dst, counts, src).Wait(context.Background()); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkAllToAllSum is the reduce-scatter: one partial a rank, added by the owner as it comes.
func BenchmarkAllToAllSum(b *testing.B) {
	benchmark(b, func(g collective.Group, part, iters int) error {
		sum := tree.NewPieces(g.Size(), part, collective.PieceElements,
			tree.FloatsBySize(tree.PlainAdd))
		me, own, send := int(g.Rank()), make([]float32, part), make([][]float32, g.Size())
		counts := slices.Repeat([]int{part}, g.Size())
		counts[me] = 0
		for r := range send {
			if r != me {
				send[r] = make([]float32, part)
			}
		}
		of := func(r collective.Rank) tree.Partial { return tree.Partial{Leaf: int(r), Count: 1} }
		for range iters {
			if err := sum.Put(of(g.Rank()), own, tree.Kept); err != nil {
				return err
			}
			err := g.AllToAllFunc(counts, send,
				func(from collective.Rank, at int, v []float32) error {
					return sum.PutPiece(of(from), at, v, tree.Lent)
				}).Wait(context.Background())
			if err != nil {
				return err
			}
			sum.Reset()
		}
		return nil
	})
}

func BenchmarkBarrier(b *testing.B) {
	groups := open(b, 4, opTimeout, nil)
	b.ResetTimer()
	var all errgroup.Group
	for _, g := range groups {
		all.Go(func() error {
			for range b.N {
				if err := g.Barrier(context.Background()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
}
