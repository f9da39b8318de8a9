// Command cubins compiles our CUDA kernels ahead of time, for hosts without NVRTC: `make cubins`.
//
//	cubins -o bin/cubins -arch 80,90 [-cuda-path DIR]
//
// A host uses them when BANYAN_CUBINS names the folder. It needs libnvrtc, and no GPU.
package main
