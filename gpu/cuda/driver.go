package cuda

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/dl"
)

// Driver is a loaded and started libcuda. Its methods may be called from any goroutine.
type Driver struct {
	api     *C.struct_cuda
	search  gpu.Search
	path    string
	version gpu.Version
	devices int
}

// Entries lists the functions of libcuda that this package calls.
func Entries() []dl.Entry {
	out := make([]dl.Entry, C.CUDA_ENTRY_COUNT)
	for i := range out {
		out[i] = dl.Entry{Name: C.GoString(C.cuda_entry_name(C.int(i))),
			Since: int(C.cuda_entry_since(C.int(i))), Optional: C.cuda_entry_optional(C.int(i)) != 0}
	}
	return out
}

// Load finds libcuda and starts it. No driver, one that is too old, and one that does not start
// (no device, a container without one) are errors that say what to do.
func Load(s gpu.Search) (*Driver, error) {
	lib, err := s.Open(gpu.CUDA)
	if err != nil {
		return nil, err
	}
	d := &Driver{path: lib.Path(), search: s,
		api: (*C.struct_cuda)(C.calloc(1, C.size_t(unsafe.Sizeof(C.struct_cuda{}))))}
	if missing := lib.Fill(unsafe.Pointer(d.api), Entries()); len(missing) > 0 {
		C.free(unsafe.Pointer(d.api))
		return nil, fmt.Errorf("load %s: it lacks %s; want a driver of CUDA %s or newer",
			d.path, describe(missing), gpu.MinDriver)
	}
	var version, devices C.int
	if err := d.check(C.cuda_start(d.api, &version, &devices)); err != nil {
		err = fmt.Errorf("start %s: %w", d.path, err)
		C.free(unsafe.Pointer(d.api))
		return nil, err
	}
	d.version, d.devices = gpu.Version(version), int(devices)
	if d.version < gpu.MinDriver {
		C.free(unsafe.Pointer(d.api))
		return nil, fmt.Errorf("load %s: its driver is of CUDA %s; want %s or newer", d.path,
			d.version, gpu.MinDriver)
	}
	return d, nil
}

// describe lists missing functions with the version that first had them.
func describe(missing []dl.Entry) string {
	var names []string
	for _, e := range missing {
		names = append(names, fmt.Sprintf("%s (CUDA %s)", e.Name, gpu.Version(e.Since)))
	}
	return strings.Join(names, ", ")
}

// Path is the file of libcuda, Version the newest CUDA that the driver serves.
func (d *Driver) Path() string         { return d.path }
func (d *Driver) Version() gpu.Version { return d.version }

// Search finds libraries that go with this driver: none made for a newer major of CUDA.
func (d *Driver) Search() gpu.Search {
	s := d.search
	s.CUDA = d.version
	return s
}

// Info describes a device.
type Info struct {
	Index           int
	Name, UUID, PCI string
	Memory          int64 // bytes
	Arch            gpu.Arch
	Multiprocessors int
	handle          C.CUdevice
}

// Devices describes every device, whether Banyan can use it or not.
func (d *Driver) Devices() ([]Info, error) {
	out := make([]Info, d.devices)
	for i := range out {
		var err error
		if out[i], err = d.describe(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d *Driver) describe(index int) (Info, error) {
	if index < 0 || index >= d.devices {
		return Info{}, fmt.Errorf("GPU %d: this host has %d", index, d.devices)
	}
	var c C.struct_cuda_info
	if err := d.check(C.cuda_describe(d.api, C.int(index), &c)); err != nil {
		return Info{}, fmt.Errorf("describe GPU %d: %w", index, err)
	}
	id := C.GoBytes(unsafe.Pointer(&c.uuid.bytes), 16)
	return Info{Index: index, Name: C.GoString(&c.name[0]), PCI: C.GoString(&c.pci[0]),
		UUID:   fmt.Sprintf("GPU-%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
		Memory: int64(c.memory), Arch: gpu.Arch(10*c.major + c.minor),
		Multiprocessors: int(c.multiprocessors), handle: C.CUdevice(c.device)}, nil
}
