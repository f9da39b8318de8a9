package spec

import (
	"github.com/banyan-train/banyan/collective/nccl/settings"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// maxThreads bounds the kernel threads of a rank.
const maxThreads = 1024

// checkResources checks what a run asks of its hosts; the number of workers is checkBatch's.
func (p *parser) checkResources(r *pb.Resources) {
	if p.ok("resources.threads") && r.Threads > maxThreads {
		p.failAt("resources.threads", "write 0 for all cores of the host", "%d is more than %d",
			r.Threads, maxThreads)
	}
	p.checkNCCL(r.Nccl)
}

// checkNCCL checks the settings of NCCL: each by itself, then whether there is an NCCL at all.
func (p *parser) checkNCCL(set []*pb.NcclSetting) {
	const at = "resources.nccl"
	if len(set) == 0 {
		return
	}
	if len(set) > settings.Most {
		p.failAt(at, "keep those that it needs", "%d settings, at most %d are supported", len(set),
			settings.Most)
		return
	}
	for _, v := range set {
		if err := settings.Check(v.Name, v.Value); err != nil {
			p.failAt(join(at, v.Name), err.Fix, "%s", err.Why)
		}
	}
	// Every device that a run can have now is a CPU; one that it cannot have was refused.
	if !p.bad["resources.device"] {
		p.failAt(at, "remove it: this version trains on CPUs",
			"settings of NCCL need device: cuda")
	}
}
