package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// waitReason says what a run lacks and who has it, with the numbers a person needs to mend it.
func waitReason(run *pb.Run, workers []WorkerView, low, free int) string {
	class := run.GetIsaClass()
	live, devices := 0, 0
	var fit []WorkerView
	fitting, drained := 0, 0
	for _, w := range workers {
		if w.Live && w.Drained {
			drained++
		}
		if !w.Live || w.Drained {
			continue
		}
		live++
		devices += w.Devices
		if class == "" || slices.Contains(w.ISAClasses, class) {
			fit = append(fit, w)
			fitting += w.Devices
		}
	}
	what := "of one ISA class"
	if class != "" {
		what = "of ISA class " + class
	}
	reason := fmt.Sprintf("needs %s %s, has %d: %d of %s live with %s", count(low, "free device"),
		what, free, live, count(len(workers), "worker"), count(devices, "device"))
	if fitting != devices {
		reason += fmt.Sprintf(", %d of them of that class", fitting)
	}
	if drained > 0 {
		reason += fmt.Sprintf(", %s drained", count(drained, "worker"))
	}
	return reason + holders(fit)
}

// mostHolders bounds the runs that a reason names; those with the most devices are named.
const mostHolders = 4

// holders says which runs hold devices of these workers, the largest first.
func holders(workers []WorkerView) string {
	type holder struct {
		run     string
		devices int
	}
	var all []holder
	ending := 0
	for _, w := range workers {
		ending += w.Busy
		for d := range w.Devices {
			run, used := w.Used[d]
			if !used {
				continue
			}
			i := slices.IndexFunc(all, func(h holder) bool { return h.run == run })
			if i < 0 {
				i = len(all)
				all = append(all, holder{run: run})
			}
			all[i].devices++
		}
	}
	slices.SortFunc(all, func(a, b holder) int {
		return cmp.Or(b.devices-a.devices, strings.Compare(a.run, b.run))
	})
	var parts []string
	for _, h := range all[:min(len(all), mostHolders)] {
		parts = append(parts, fmt.Sprintf("run %s holds %d", h.run, h.devices))
	}
	if rest := all[min(len(all), mostHolders):]; len(rest) > 0 {
		n := 0
		for _, h := range rest {
			n += h.devices
		}
		parts = append(parts, fmt.Sprintf("others hold %d", n))
	}
	if ending > 0 {
		parts = append(parts, fmt.Sprintf("ranks that are still ending hold %d", ending))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}
