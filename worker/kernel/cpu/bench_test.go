package cpu

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/banyan-train/banyan/worker/kernel"
)

// BenchmarkMatmul reports GFLOP/s, and which part that is, per second of processor time, of what a
// core does on FMAs in registers alone.
func BenchmarkMatmul(b *testing.B) {
	shapes := [][3]int{{512, 192, 192}, {512, 1024, 1024}, {2048, 768, 768}, {2048, 1024, 1024},
		{768, 768, 2048}}
	for _, isa := range Classes() {
		ceiling := fmaCeiling(isa)
		for _, threads := range []int{1, 2} {
			for _, s := range shapes {
				for _, layout := range []string{"nn", "nt", "tn"} {
					name := fmt.Sprintf("%s/%d/%dx%dx%d/%s", isa, threads,
						s[0], s[1], s[2], layout)
					b.Run(name, func(b *testing.B) {
						be := open(b, isa, threads)
						rate := measure(b, be, matmulOps(be, s[0], s[1], s[2], layout),
							2*float64(s[0])*float64(s[1])*float64(s[2]))
						b.ReportMetric(rate/ceiling, "of-ceiling")
					})
				}
			}
		}
	}
}

func matmulOps(be kernel.Backend, m, n, k int, layout string) []kernel.Op {
	c := &call{be: be, rng: rand.New(rand.NewPCG(1, 1))}
	return []kernel.Op{kernel.Matmul(c.in(m*n), c.in(m*k), c.in(k*n), m, n, k,
		kernel.MatmulOptions{TransA: layout[0] == 't', TransB: layout[1] == 't'})}
}

// measure runs ops b.N times and reports GFLOP/s by the clock on the wall, and by the processor
// time of this process, which a busy host does not spoil; it returns the second.
func measure(b *testing.B, be kernel.Backend, ops []kernel.Op, flops float64) float64 {
	start := cpuTime()
	for b.Loop() {
		if err := be.Run(ops); err != nil {
			b.Fatal(err)
		}
	}
	used := (cpuTime() - start).Seconds()
	total := flops * float64(b.N) / 1e9
	b.ReportMetric(total/b.Elapsed().Seconds(), "GFLOP/s")
	b.ReportMetric(total/used, "GFLOP/cpu-s")
	return total / used
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fmaCeiling is the GFLOP/s of one thread on independent multiply-adds: the best of a few probes.
func fmaCeiling(isa string) float64 {
	best := 0.0
	for range 10 {
		start := cpuTime()
		flops := fmaFlops(isa, 1_000_000)
		best = max(best, flops/(cpuTime()-start).Seconds()/1e9)
	}
	return best
}

// BenchmarkAttention counts the flops of the causal half only: 2 products forward, 5 backward.
func BenchmarkAttention(b *testing.B) {
	for _, isa := range Classes() {
		for _, d := range []int{32, 64, 128} {
			for _, t := range []int{128, 512, 1024} {
				const batch, h, kv = 2, 4, 2
				s := attentionSize{batch, t, h, kv, d}
				flops := float64(batch*h*t*(t+1)) * float64(d) * 2
				forward, backward := attentionOps(open(b, isa, 2), s)
				for _, p := range []struct {
					name  string
					run   program
					flops float64
				}{{"forward", forward, flops}, {"backward", backward, 2.5 * flops}} {
					b.Run(fmt.Sprintf("%s/%s/T%d/D%d", isa, p.name, t, d), func(b *testing.B) {
						measure(b, p.run.be, p.run.ops, p.flops)
					})
				}
			}
		}
	}
}

type program struct {
	be  kernel.Backend
	ops []kernel.Op
}

func attentionOps(be kernel.Backend, s attentionSize) (forward, backward program) {
	c := &call{be: be, rng: rand.New(rand.NewPCG(1, 1))}
	qn, kn := s.b*s.t*s.h*s.d, s.b*s.t*s.kv*s.d
	a := kernel.AttentionTensors{DQ: c.in(qn), DK: c.in(kn), DV: c.in(kn), DY: c.in(qn),
		Y: c.in(qn), LSE: c.in(s.b * s.h * s.t), Q: c.in(qn), K: c.in(kn), V: c.in(kn),
		First: c.alloc(s.b*s.t, kernel.I32)}
	scale := scaleOf(s)
	return program{be, []kernel.Op{kernel.Attention(a.Y, a.LSE, a.Q, a.K, a.V, a.First,
			s.b, s.t, s.h, s.kv, s.d, scale)}},
		program{be, []kernel.Op{kernel.AttentionGrad(a, s.b, s.t, s.h, s.kv, s.d, scale)}}
}

// BenchmarkRows times the kernels that memory or the exponential limit, as GB/s of operands.
func BenchmarkRows(b *testing.B) {
	const rows, c, v = 2048, 768, 8192
	for _, isa := range Classes() {
		be := open(b, isa, 2)
		o := &call{be: be, rng: rand.New(rand.NewPCG(1, 1))}
		x, y, z, w := o.in(rows*c), o.in(rows*c), o.in(rows*c), o.in(c)
		logits, rstd := o.in(rows*v), o.in(rows)
		ids := o.indices(rows, 0, 1000)
		for name, p := range map[string]struct {
			op    kernel.Op
			bytes int64
		}{
			"add":           {kernel.Add(z, x, y), 12 * rows * c},
			"swiglu":        {kernel.SwiGLU(z, x, y), 12 * rows * c},
			"rms norm":      {kernel.RMSNorm(z, rstd, x, w, rows, c, 1e-5), 8 * rows * c},
			"rms norm grad": {kernel.RMSNormGrad(z, w, x, y, w, rstd, rows, c, true), 16 * rows * c},
			"cross entropy": {kernel.CrossEntropy(rstd, logits, logits, ids, rows, v), 8 * rows * v},
			"adamw": {kernel.AdamW(z, x, y, logits.Slice(0, rows*c), kernel.Tensor{}, kernel.AdamWStep{
				LR: 1e-9, Beta1: 0.9, Beta2: 0.9, Eps: 1}), 28 * rows * c},
			"sum of squares": {kernel.SumSquares(rstd.Slice(0, rows*c/16384), x, 16384),
				4 * rows * c},
		} {
			b.Run(isa+"/"+name, func(b *testing.B) {
				b.SetBytes(p.bytes)
				measure(b, be, []kernel.Op{p.op}, 0)
			})
		}
	}
}
