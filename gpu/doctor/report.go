package doctor

import (
	"fmt"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/cuda"
	"github.com/banyan-train/banyan/gpu/nvrtc"
)

// Host is what the caller knows of the processor.
type Host struct {
	Cores int `json:"cores"`
	// Classes are the ISA classes that the kernels serve here, the best first.
	Classes []string `json:"isa_classes"`
}

// Report is what was found.
type Report struct {
	CPU       Host      `json:"cpu"`
	Libraries []Library `json:"libraries"`
	Devices   []Device  `json:"devices"`
	// Needs say what this host can do, and what is missing where it cannot.
	Needs []Need `json:"needs"`
}

// Library is one that was looked for.
type Library struct {
	Name string `json:"name"`
	Use  string `json:"use"`
	// Path and Version are empty if it was not found.
	Path    string `json:"path,omitempty"`
	Version string `json:"version,omitempty"`
	// Problem says why it will not do.
	Problem string `json:"problem,omitempty"`
}

// Device is a GPU.
type Device struct {
	Index           int    `json:"index"`
	Name            string `json:"name"`
	UUID            string `json:"uuid"`
	PCI             string `json:"pci"`
	Arch            string `json:"arch"`
	MemoryBytes     int64  `json:"memory_bytes"`
	Multiprocessors int    `json:"multiprocessors"`
	Problem         string `json:"problem,omitempty"`
}

// Need is something to do, and whether this host can.
type Need struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	// Missing says what it lacks, if it cannot.
	Missing string `json:"missing,omitempty"`
}

// CanTrain reports whether a run can train on this host: on its processor, as runs do now.
func (r Report) CanTrain() bool { return len(r.CPU.Classes) > 0 }

// Examine looks at the host.
func Examine(s gpu.Search, h Host) Report {
	r := Report{CPU: h, Devices: []Device{}}
	driver, err := cuda.Load(s)
	found := Library{Name: gpu.CUDA.Name, Use: gpu.CUDA.Use}
	if err != nil {
		found.Problem = err.Error()
	} else {
		s = driver.Search()
		found.Path, found.Version = driver.Path(), "CUDA "+driver.Version().String()
		r.Devices, found.Problem = devices(driver)
	}
	r.Libraries = []Library{found, compiler(s), other(s, gpu.NCCL), other(s, gpu.CublasLt),
		other(s, gpu.CUDNN)}
	r.Needs = needs(r)
	return r
}

func devices(driver *cuda.Driver) (out []Device, problem string) {
	all, err := driver.Devices()
	if err != nil {
		return []Device{}, err.Error()
	}
	for _, d := range all {
		x := Device{Index: d.Index, Name: d.Name, UUID: d.UUID, PCI: d.PCI, Arch: d.Arch.String(),
			MemoryBytes: d.Memory, Multiprocessors: d.Multiprocessors}
		if d.Arch < gpu.MinArch {
			x.Problem = fmt.Sprintf("older than %s", gpu.MinArch)
		}
		out = append(out, x)
	}
	return out, ""
}

func compiler(s gpu.Search) Library {
	found := Library{Name: gpu.NVRTC.Name, Use: gpu.NVRTC.Use}
	c, err := nvrtc.Load(s)
	if err != nil {
		found.Problem = err.Error()
		return found
	}
	found.Path, found.Version = c.Path(), "CUDA "+c.Version().String()
	return found
}

// versions are the functions by which the other libraries tell their version.
var versions = map[string]string{"libnccl": "ncclGetVersion", "libcublasLt": "cublasLtGetVersion",
	"libcudnn": "cudnnGetVersion"}

func other(s gpu.Search, lib gpu.Lib) Library {
	found := Library{Name: lib.Name, Use: lib.Use}
	l, err := s.Open(lib)
	if err != nil {
		found.Problem = err.Error()
		return found
	}
	found.Path = l.Path()
	var n int
	ok := false
	if lib.Name == gpu.NCCL.Name {
		n, _, ok = l.Ints(versions[lib.Name])
	} else {
		var size uint64
		size, ok = l.Size(versions[lib.Name])
		n = int(size)
	}
	if !ok {
		found.Problem = "it does not tell its version"
		return found
	}
	found.Version = fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100)
	if lib.Name == gpu.NCCL.Name && n < gpu.MinNCCL {
		found.Problem = fmt.Sprintf("older than %d.%d", gpu.MinNCCL/10000, gpu.MinNCCL/100%100)
	}
	return found
}
