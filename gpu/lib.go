package gpu

// Lib is a library that Banyan can use.
type Lib struct {
	// Name is what messages call it.
	Name string
	// Use is what is missing without it.
	Use string
	// Files are the names of its files, the best first.
	Files []File
	// Wheels are the folders below nvidia/ in which wheels keep it.
	Wheels []string
	// Install is what to do if there is none.
	Install string
}

// File is one name under which a library is installed.
type File struct {
	Name string
	// Major is the version of CUDA that it was made for; 0 if the name does not say.
	Major int
}

// The libraries. libcuda comes with the driver, the others with a toolkit or as wheels.
var (
	CUDA = Lib{Name: "libcuda", Use: "any GPU", Files: []File{{"libcuda.so.1", 0}},
		Install: "install NVIDIA's driver"}
	NVRTC = Lib{Name: "libnvrtc", Use: "compiling kernels",
		Files:   []File{{"libnvrtc.so.13", 13}, {"libnvrtc.so.12", 12}},
		Wheels:  []string{"cu13", "cuda_nvrtc"},
		Install: "install the CUDA toolkit or the wheel nvidia-cuda-nvrtc, or make cubins"}
	NCCL = Lib{Name: "libnccl", Use: "collective: nccl", Files: []File{{"libnccl.so.2", 0}},
		Wheels: []string{"nccl"}, Install: "install NCCL or the wheel nvidia-nccl-cu13"}
	CublasLt = Lib{Name: "libcublasLt", Use: "matrix products on GPUs",
		Files:   []File{{"libcublasLt.so.13", 13}, {"libcublasLt.so.12", 12}},
		Wheels:  []string{"cu13", "cublas"},
		Install: "install the CUDA toolkit or the wheel nvidia-cublas"}
	CUDNN = Lib{Name: "libcudnn", Use: "faster attention (optional)",
		Files: []File{{"libcudnn.so.9", 0}}, Wheels: []string{"cudnn"},
		Install: "install cuDNN 9 or the wheel nvidia-cudnn-cu13"}
)
