// Package doctor looks at a host: which GPU libraries and devices it has, and what they are good
// for.
//
// It owns the report of `banyan doctor` and the rules of what needs what (needs.go, pure). It opens
// libraries and asks them their version, and describes devices; it makes no context, allocates
// nothing and runs nothing on a GPU.
//
//	r := doctor.Examine(gpu.NewSearch(""), doctor.Host{Cores: 8, Classes: cpu.Classes()})
package doctor
