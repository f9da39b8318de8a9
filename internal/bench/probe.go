package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

// matmulSize is one product: c[m,n] = op(a) op(b) over k.
type matmulSize struct {
	M      int    `json:"m"`
	N      int    `json:"n"`
	K      int    `json:"k"`
	Layout string `json:"layout"` // nn, nt, tn or tt: whether a and b are stored transposed
	DType  string `json:"dtype"`  // fp32, or bf16 for all three
}

var dtypes = map[string]kernel.DType{"": kernel.F32, "fp32": kernel.F32, "bf16": kernel.BF16}

// matmul answers the mean time of one product, over operands that stay where they are.
func (s *server) matmul(size matmulSize, repeat int) (answer, error) {
	ops, ok := s.products[size]
	if !ok {
		var err error
		if ops, err = s.product(size); err != nil {
			return nil, fmt.Errorf("make operands: %w", err)
		}
		s.products[size] = ops
	}
	began, used := time.Now(), cpuTime()
	for range repeat {
		if err := s.be.Run(ops); err != nil {
			return nil, err
		}
	}
	return answer{"seconds": time.Since(began).Seconds() / float64(repeat),
		"cpu_seconds": (cpuTime() - used).Seconds() / float64(repeat)}, nil
}

func (s *server) product(size matmulSize) ([]kernel.Op, error) {
	dtype, known := dtypes[size.DType]
	if !known || len(size.Layout) != 2 || size.M < 1 || size.N < 1 || size.K < 1 {
		return nil, fmt.Errorf("product %+v: unknown dtype, layout or empty shape", size)
	}
	var ts [3]kernel.Tensor
	for i, n := range [3]int{size.M * size.N, size.M * size.K, size.K * size.N} {
		x, err := s.be.Alloc(n, dtype)
		if err != nil {
			return nil, err
		}
		// Values of one size and both signs: no subnormal numbers, no overflow.
		init, err := s.be.Alloc(n, kernel.F32)
		if err != nil {
			return nil, err
		}
		for j, h := 0, s.be.Host(init); j < n; j++ {
			h[j] = float32(j*7919%2048)/1024 - 1
		}
		if err := s.be.Run([]kernel.Op{kernel.Copy(x, init)}); err != nil {
			return nil, err
		}
		s.be.Free(init)
		ts[i] = x
	}
	return []kernel.Op{kernel.Matmul(ts[0], ts[1], ts[2], size.M, size.N, size.K,
		kernel.MatmulOptions{TransA: size.Layout[0] == 't', TransB: size.Layout[1] == 't'})}, nil
}

const (
	probeRounds = 1_000_000
	probeTimes  = 5
	triadFloats = 32 << 20 // 128 MiB each: beyond any cache
)

// probe answers the ceilings of this machine at this moment: floating-point operations in
// registers, all threads at once, and the bandwidth of z = x + y, each the best of a few.
func (s *server) probe() (answer, error) {
	gflops := 0.0
	for range probeTimes {
		var group sync.WaitGroup
		flops := make([]float64, max(s.threads, 1))
		began := time.Now()
		for i := range flops {
			group.Go(func() { flops[i] = cpu.FMAFlops(s.isa, probeRounds) })
		}
		group.Wait()
		took, total := time.Since(began).Seconds(), 0.0
		for _, f := range flops {
			total += f
		}
		gflops = max(gflops, total/took/1e9)
	}
	gbs, err := s.triad()
	return answer{"gflops": gflops, "gbs": gbs}, err
}

// triad counts 16 bytes an element: two are read, one is written, and its line is read before.
func (s *server) triad() (float64, error) {
	var ts [3]kernel.Tensor
	for i := range ts {
		x, err := s.be.Alloc(triadFloats, kernel.F32)
		if err != nil {
			return 0, fmt.Errorf("allocate triad: %w", err)
		}
		defer s.be.Free(x)
		ts[i] = x
	}
	best := 0.0
	for range probeTimes {
		began := time.Now()
		if err := s.be.Run([]kernel.Op{kernel.Add(ts[0], ts[1], ts[2])}); err != nil {
			return 0, err
		}
		best = max(best, 16*triadFloats/time.Since(began).Seconds()/1e9)
	}
	return best, nil
}

// memory answers this process's resident set, now and at its peak, which reset makes start anew.
func memory(reset bool) (answer, error) {
	if reset {
		// 5: "reset the peak resident set size", proc_pid_clear_refs(5).
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			return nil, fmt.Errorf("reset peak of memory use: %w", err)
		}
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("read memory use: %w", err)
	}
	a := answer{}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); err == nil {
			a["peak_bytes"] = kib << 10
		}
		if _, err := fmt.Sscanf(lines.Text(), "VmRSS: %d kB", &kib); err == nil {
			a["resident_bytes"] = kib << 10
		}
	}
	return a, nil
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
