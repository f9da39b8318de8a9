package optim

import (
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// LR is the learning rate of a step, 1 to total. With W warm-up steps, D decay steps, floor the
// schedule's min_lr and n = total:
//
//	step <= W     peak * step / W           every kind: step W is the first at the peak
//	constant      peak
//	cosine        floor + (peak-floor) * (1 + cos(pi x)) / 2,  x = (step-W) / (n-W)
//	linear        peak + (floor-peak) * x
//	wsd           peak until step n-D, then linear: step n is at the floor
//	inverse_sqrt  the greater of peak * sqrt(W / step) and the floor; W at least 1
//
// A floor above the peak is the peak. A warm-up longer than the run is cut to it, and a decay to
// what warm-up leaves. Past total the rate stays at its last value. An unspecified kind is
// constant.
// (Cosine: Loshchilov and Hutter 2017, arXiv 1608.03983. WSD: Hu et al. 2024, arXiv 2404.06395.
// Inverse square root: Vaswani et al. 2017, arXiv 1706.03762.)
func LR(s *pb.LrSchedule, peak float64, step uint64, run Length) float64 {
	total := run.Steps
	step = min(step, total)
	warmup := min(run.Of(s.GetWarmup()), total)
	if step <= warmup {
		if warmup == 0 { // step 0 of nothing
			return peak
		}
		return peak * (float64(step) / float64(warmup))
	}
	floor := min(s.GetMinLr(), peak)
	switch s.GetKind() {
	case pb.ScheduleKind_COSINE:
		x := part(step-warmup, total-warmup)
		return floor + float64((peak-floor)*((1+math.Cos(math.Pi*x))/2))
	case pb.ScheduleKind_LINEAR:
		return line(peak, floor, part(step-warmup, total-warmup))
	case pb.ScheduleKind_WSD:
		decay := min(run.Of(s.GetDecay()), total-warmup)
		if step <= total-decay {
			return peak
		}
		return line(peak, floor, part(step-(total-decay), decay))
	case pb.ScheduleKind_INVERSE_SQRT:
		return max(floor, peak*math.Sqrt(part(max(warmup, 1), step)))
	}
	return peak
}

func part(n, of uint64) float64 { return float64(n) / float64(of) }

// line goes from a at x = 0 to exactly b at x = 1.
func line(a, b, x float64) float64 { return float64(a*(1-x)) + float64(b*x) }
