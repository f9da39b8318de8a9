// Every function of NVRTC that we call: X(name, result, since, parameters). since is the version of
// CUDA whose NVRTC first had it. None is optional.

#ifndef BANYAN_NVRTC_ENTRIES_H
#define BANYAN_NVRTC_ENTRIES_H

#define NVRTC_ENTRIES(X)                                                                     \
	X(nvrtcVersion, nvrtcResult, 7000, (int *major, int *minor))                         \
	X(nvrtcGetErrorString, const char *, 7000, (nvrtcResult result))                     \
	X(nvrtcCreateProgram, nvrtcResult, 8000,                                             \
	  (nvrtcProgram * program, const char *source, const char *name, int headers,        \
	   const char *const *header, const char *const *include))                           \
	X(nvrtcDestroyProgram, nvrtcResult, 7000, (nvrtcProgram * program))                  \
	X(nvrtcCompileProgram, nvrtcResult, 8000,                                            \
	  (nvrtcProgram program, int options, const char *const *option))                    \
	X(nvrtcGetCUBINSize, nvrtcResult, 11010, (nvrtcProgram program, size_t *n))          \
	X(nvrtcGetCUBIN, nvrtcResult, 11010, (nvrtcProgram program, char *to))               \
	X(nvrtcGetProgramLogSize, nvrtcResult, 7000, (nvrtcProgram program, size_t *n))      \
	X(nvrtcGetProgramLog, nvrtcResult, 7000, (nvrtcProgram program, char *to))

#endif
