// Package nvrtc turns the sources of kernels into cubins for one kind of device, and keeps them.
//
// It owns NVRTC (libnvrtc, found at run time), the cache of cubins on disk, and folders of cubins
// that were made ahead of time (`make cubins`). It knows no kernel and no device: sources come from
// gpu/kernels, and gpu/cuda loads what comes out.
//
//	supply, err := nvrtc.NewSupply(driver.Search(), nvrtc.Options{})
//	cubin, err := supply.Cubin(nvrtc.Source{Name: "add.cu", Text: text}, 90)
//
// A cubin is looked for in this order: folders made ahead of time, the cache, NVRTC. Only the last
// needs libnvrtc, and it is loaded only then.
//
// A file of the cache is named by the SHA-256 of source, options, version of NVRTC and arch. Files
// begin with the digest of what follows, are written beside and renamed, and are verified when they
// are read: a damaged one is compiled again and replaced.
//
//	file = "banyan cubin 1\n" | SHA-256 of the cubin, 32 bytes | cubin
//
// Concurrent processes may use one folder.
package nvrtc
