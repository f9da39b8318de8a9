// Package gpu finds the GPU libraries of a host: which there are, where, and which versions do.
//
// It owns the search (Search), the names and versions of the libraries that Banyan can use (Lib,
// Version), and what is looked for where. It never calls into a GPU library: gpu/cuda drives
// devices, gpu/nvrtc compiles kernels, collective/nccl joins ranks, and each opens its own library
// by Search.Open. Nothing here is needed to build, and a host without any of it is no error until
// a GPU is asked for.
//
// A library is looked for in this order, and the first that loads is taken:
//
//  1. the folders of --cuda-path, else of BANYAN_CUDA_PATH, each also as the root of a CUDA toolkit
//     or of a site-packages with NVIDIA's wheels. A file there that does not load is an error: what
//     was named by hand is not replaced in silence.
//  2. the loader's own way: LD_LIBRARY_PATH, the system's folders.
//  3. folders in which drivers and toolkits lie that the loader was not told of.
//  4. NVIDIA's wheels (nvidia/*/lib) in the site-packages of VIRTUAL_ENV, CONDA_PREFIX, the user
//     and the system.
//
// Some libraries have a file for each major version of CUDA. A newer major than the driver's is
// passed over.
package gpu
