package doctor

import (
	"fmt"
	"strings"

	"github.com/banyan-train/banyan/gpu"
)

// needs decides what the host can do.
func needs(r Report) []Need {
	lacks := func(libs ...gpu.Lib) []string {
		var out []string
		for _, lib := range libs {
			for _, l := range r.Libraries {
				if l.Name == lib.Name && l.Problem != "" {
					out = append(out, lib.Name)
				}
			}
		}
		return out
	}
	device := func() []string {
		if len(lacks(gpu.CUDA)) > 0 {
			return nil // said already
		}
		for _, d := range r.Devices {
			if d.Problem == "" {
				return nil
			}
		}
		return []string{fmt.Sprintf("a GPU of %s or newer", gpu.MinArch)}
	}
	var cpu []string
	if !r.CanTrain() {
		cpu = []string{"an ISA class; see BANYAN_ISA"}
	}
	return []Need{
		need("train on the CPU", cpu),
		need("drive a GPU", append(lacks(gpu.CUDA), device()...)),
		need("compile kernels for it", lacks(gpu.NVRTC)),
		need("move bytes between GPUs", append(lacks(gpu.CUDA, gpu.NCCL), device()...)),
		need("multiply matrices on a GPU", append(lacks(gpu.CUDA, gpu.CublasLt), device()...)),
		need("use cuDNN's attention (optional)", append(lacks(gpu.CUDA, gpu.CUDNN), device()...)),
	}
}

func need(what string, missing []string) Need {
	return Need{What: what, OK: len(missing) == 0, Missing: strings.Join(missing, ", ")}
}
