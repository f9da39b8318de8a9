package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/doctor"
	"github.com/banyan-train/banyan/gpu/kernels"
	"github.com/banyan-train/banyan/gpu/nvrtc"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

const exitFailed, exitUsage, exitNoGPU = 1, 2, 3

var errNoGPU = errors.New("no GPU here")

type options struct {
	json, cudaPath  string
	elements, bytes int64
	seed            uint64
	limit           time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.json, "json", "", "file to write the results to")
	flag.StringVar(&o.cudaPath, "cuda-path", "", "folders to look for libraries in first")
	flag.Int64Var(&o.elements, "elements", 8<<20+5, "elements a vector, for bits")
	flag.Int64Var(&o.bytes, "bytes", 1<<30, "bytes a vector, for speed")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the random data")
	flag.DurationVar(&o.limit, "limit", 5*time.Minute, "time for all of it")
	flag.Parse()
	if flag.NArg() > 0 || o.elements < 1 || o.bytes < 1<<10 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	r, err := check(ctx, o)
	r.print(os.Stdout)
	if o.json != "" {
		err = errors.Join(err, r.write(o.json))
	}
	switch {
	case errors.Is(err, errNoGPU):
		fmt.Printf("gpu-check: %v\n", err)
		os.Exit(exitNoGPU)
	case err != nil:
		fmt.Fprintf(os.Stderr, "gpu-check: %v\n", err)
		os.Exit(exitFailed)
	case !r.ok():
		fmt.Println("gpu-check: FAIL")
		os.Exit(exitFailed)
	}
	fmt.Println("gpu-check: PASS")
}

// report is what is printed and written.
type report struct {
	Seed   uint64        `json:"seed"`
	Host   doctor.Report `json:"host"`
	Checks []row         `json:"checks"`
}

// row is one line of the table.
type row struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	// Value is a number with a unit, or what went wrong.
	Value string `json:"value"`
	// BytesPerSecond and Ratio are there where speed was measured; Ratio is to the driver's copy.
	BytesPerSecond float64 `json:"bytes_per_second,omitempty"`
	Ratio          float64 `json:"ratio,omitempty"`
}

func (r *report) ok() bool {
	for _, c := range r.Checks {
		if !c.OK {
			return false
		}
	}
	return len(r.Checks) > 0
}

func (r *report) add(check string, err error, value string) {
	x := row{Check: check, OK: err == nil, Value: value}
	if err != nil {
		x.Value = err.Error()
	}
	r.Checks = append(r.Checks, x)
}

func (r *report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "seed\t\t%d\n", r.Seed)
	for _, l := range r.Host.Libraries {
		fmt.Fprintf(w, "%s\t\t%s %s %s\n", l.Name, l.Version, l.Path, l.Problem)
	}
	for _, d := range r.Host.Devices {
		fmt.Fprintf(w, "gpu %d\t\t%s %s %s\n", d.Index, d.Name, d.Arch, d.Problem)
	}
	for _, c := range r.Checks {
		word := "ok"
		if !c.OK {
			word = "FAIL"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Check, word, c.Value)
	}
	_ = w.Flush() // what a terminal does not take is not ours to mend
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// check runs everything on device 0.
func check(ctx context.Context, o options) (*report, error) {
	search := gpu.NewSearch(o.cudaPath)
	if err := search.Check(); err != nil {
		return &report{Seed: o.seed}, err
	}
	r := &report{Seed: o.seed, Host: doctor.Examine(search,
		doctor.Host{Cores: runtime.NumCPU(), Classes: cpu.Classes()})}
	if len(r.Host.Devices) == 0 {
		return r, fmt.Errorf("%w: %s", errNoGPU, r.Host.Libraries[0].Problem)
	}
	driver, err := cuda.Load(search)
	if err != nil {
		return r, err
	}
	dev, err := driver.Open(0, cuda.Options{})
	if err != nil {
		return r, err
	}
	supply, err := nvrtc.NewSupply(driver.Search(), nvrtc.Options{})
	if err != nil {
		return r, err
	}
	start := time.Now()
	set, err := kernels.Load(ctx, dev, supply)
	r.add("load kernels", err, time.Since(start).Round(time.Millisecond).String())
	if err != nil {
		return r, nil
	}
	for name, f := range set.Functions() {
		if f.Spilled > 0 {
			r.add("registers of "+name, fmt.Errorf("spills %d bytes a thread", f.Spilled), "")
		}
	}
	b := &bench{ctx: ctx, dev: dev, set: set}
	if b.done, err = dev.NewEvent(ctx, true); err == nil {
		b.start, err = dev.NewEvent(ctx, true)
	}
	if err != nil {
		return r, err
	}
	r.bits(b, o)
	r.speed(b, min(o.bytes, dev.Info().Memory/(2*vectors)))
	r.nccl(ctx, driver.Search(), driver, dev)
	return r, errors.Join(set.Close(ctx), dev.Close(ctx))
}
