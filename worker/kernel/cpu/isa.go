package cpu

/*
#include <stdlib.h>
#include "engine.h"
*/
import "C"

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/banyan-train/banyan/worker/kernel"
)

// envISA names the environment variable that restricts the process to one class.
const envISA = "BANYAN_ISA"

// allClasses is every class there is, best first.
var allClasses = []string{"amx", "avx512", "avx2", "neon", "generic"}

// served is what this host executes, found out once.
var served = sync.OnceValue(func() []string {
	var classes []string
	for _, isa := range allClasses {
		name := C.CString(isa)
		if C.banyan_probe(name) != 0 {
			classes = append(classes, isa)
		}
		C.free(unsafe.Pointer(name))
	}
	return classes
})

// Classes lists the ISA classes that this host can serve, best first. BANYAN_ISA, if set, leaves
// only the class it names; none is left if the host cannot serve that one.
func Classes() []string {
	only := os.Getenv(envISA)
	var classes []string
	for _, isa := range served() {
		if only == "" || only == isa {
			classes = append(classes, isa)
		}
	}
	return classes
}

// choose is the class for a request ("" is the best), or an error that names the place to mend.
func choose(isa string) (string, error) {
	classes := Classes()
	only := os.Getenv(envISA)
	if len(classes) == 0 {
		return "", fmt.Errorf("%s=%s: this host serves %s; set one of them or unset it",
			envISA, only, strings.Join(served(), ", "))
	}
	if isa == "" {
		return classes[0], nil
	}
	if slices.Contains(classes, isa) {
		return isa, nil
	}
	if only != "" {
		return "", fmt.Errorf("ISA class %q: excluded by %s=%s; unset that", isa, envISA, only)
	}
	return "", fmt.Errorf("ISA class %q: this host serves %s", isa, strings.Join(classes, ", "))
}

// opLayout is the layout of kernel.Op as C sees it: the size and the offsets of P, N and X.
func opLayout() [4]uintptr {
	var op C.struct_op
	return [4]uintptr{unsafe.Sizeof(op), unsafe.Offsetof(op.p), unsafe.Offsetof(op.n),
		unsafe.Offsetof(op.x)}
}

// opCodes are the first and last op code as C knows them.
func opCodes() [2]kernel.Code { return [2]kernel.Code{C.OP_FILL, C.OP_SUM_ROWS} }

// expRow sets y = e^x with the kernels' own exponential; for the accuracy test.
func expRow(isa string, y, x []float32) {
	name := C.CString(isa)
	defer C.free(unsafe.Pointer(name))
	C.banyan_exp(name, (*C.float)(unsafe.SliceData(y)), (*C.float)(unsafe.SliceData(x)),
		C.long(len(x)))
}

// logOf is the kernels' own logarithm; for the accuracy test.
func logOf(x float32) float32 { return float32(C.banyan_log(C.float(x))) }

// fmaFlops runs rounds of independent multiply-adds on this thread and returns how many
// floating-point operations that was: the ceiling for a matrix product.
func fmaFlops(isa string, rounds int) float64 {
	name := C.CString(isa)
	defer C.free(unsafe.Pointer(name))
	return float64(C.banyan_fma_flops(name, C.long(rounds)))
}
