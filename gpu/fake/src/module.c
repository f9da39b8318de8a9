// Modules: an image is a shared library for this host, which the fake NVRTC made (nvrtc.c). It has
// for each kernel `name` the function that runs one thread of it, `name_argument` (the size of its
// argument) and `name_threads` (the largest block), and once `emu_launch` (emu.h).

#define _GNU_SOURCE
#include "fake.h"

#include <dlfcn.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*emu_launch)(void (*kernel)(void **), const unsigned *grid, const unsigned *block,
			  void **parameters, unsigned order);

struct CUmod_st {
	void *library;
	emu_launch launch;
	struct CUfunc_st *functions;
};

struct CUfunc_st {
	void (*kernel)(void **);
	size_t argument;
	unsigned threads;
	CUmodule module;
	struct CUfunc_st *next;
};

size_t fake_argument(CUfunction function) { return function->argument; }
unsigned fake_threads(CUfunction function) { return function->threads; }

int fake_run(const struct launch *l, unsigned order)
{
	void *parameters[1] = { l->argument };
	int deadlock = l->function->module->launch(l->function->kernel, l->grid, l->block,
						   parameters, order);
	return deadlock ? CUDA_ERROR_LAUNCH_FAILED : 0;
}

// open_image loads a library from memory. Its length is in its header, as a cubin's is.
static void *open_image(const void *image)
{
	const Elf64_Ehdr *head = image;
	if (memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_type != ET_DYN)
		return NULL;
	size_t n = head->e_shoff + (size_t)head->e_shentsize * head->e_shnum;
	char path[] = FAKE_TMP "/banyan-fake-module-XXXXXX"; // its own: the loader knows names
	int file = mkstemp(path);
	void *library = NULL;
	if (file < 0)
		return NULL;
	if (write(file, image, n) == (ssize_t)n)
		library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	close(file);
	unlink(path);
	return library;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	ENTER(cuModuleLoadData);
	void *library = open_image(image);
	if (library == NULL)
		return fake_leave(CUDA_ERROR_INVALID_IMAGE);
	emu_launch launch = (emu_launch)dlsym(library, "emu_launch");
	CUmodule m = calloc(1, sizeof *m);
	if (m == NULL || launch == NULL) {
		free(m);
		dlclose(library);
		return fake_leave(CUDA_ERROR_NO_BINARY_FOR_GPU);
	}
	m->library = library;
	m->launch = launch;
	*module = m;
	return fake_leave(0);
}

CUresult cuModuleUnload(CUmodule module)
{
	ENTER(cuModuleUnload);
	while (module->functions != NULL) {
		CUfunction f = module->functions;
		module->functions = f->next;
		free(f);
	}
	dlclose(module->library);
	free(module);
	return fake_leave(0);
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
	ENTER(cuModuleGetFunction);
	char symbol[256];
	void (*kernel)(void **) = (void (*)(void **))dlsym(module->library, name);
	snprintf(symbol, sizeof symbol, "%s_argument", name);
	const size_t *argument = dlsym(module->library, symbol);
	snprintf(symbol, sizeof symbol, "%s_threads", name);
	const unsigned *threads = dlsym(module->library, symbol);
	CUfunction f = malloc(sizeof *f);
	if (f == NULL || kernel == NULL || argument == NULL || threads == NULL) {
		free(f);
		return fake_leave(CUDA_ERROR_NOT_FOUND);
	}
	*f = (struct CUfunc_st){ kernel, *argument, *threads, module, module->functions };
	module->functions = f;
	*function = f;
	return fake_leave(0);
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function)
{
	ENTER(cuFuncGetAttribute);
	switch (attribute) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
		*value = (int)function->threads;
		return fake_leave(0);
	case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
		*value = 0;
		return fake_leave(0);
	case CU_FUNC_ATTRIBUTE_NUM_REGS:
		*value = 32;
		return fake_leave(0);
	}
	return fake_leave(CUDA_ERROR_INVALID_VALUE);
}

CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *size)
{
	ENTER(cuFuncGetParamInfo);
	if (index != 0)
		return fake_leave(CUDA_ERROR_INVALID_VALUE);
	*offset = 0;
	*size = function->argument;
	return fake_leave(0);
}
