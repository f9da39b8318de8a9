package model

import (
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// frequencies are the angles a position turns each pair of a head by: w[i] = theta^(-2i/D), for
// i < D/2, scaled as cfg.RopeScaling says, by the formulas of transformers (modeling_rope_utils.py)
// in float64:
//
//	linear   w / factor
//	llama3   with the wavelength 2 pi / w, in units of original_max_position_embeddings:
//	         w / factor where it is above 1 / low_freq_factor, w where it is below
//	         1 / high_freq_factor, and between them a mixture of both, linear in 1 / wavelength
//
// The float64 conversions keep the compiler from fusing (see exp).
func frequencies(cfg *pb.ModelConfig) []float64 {
	d := int(cfg.HeadDim)
	out := make([]float64, d/2)
	for i := range out {
		out[i] = exp(-math.Log(cfg.RopeTheta) * (2 * float64(i) / float64(d)))
	}
	s := cfg.RopeScaling
	if s == nil {
		return out
	}
	for i, w := range out {
		if s.Kind == "linear" {
			out[i] = w / s.Factor
		} else {
			out[i] = llama3(w, s)
		}
	}
	return out
}

func llama3(w float64, s *pb.RopeScaling) float64 {
	original := float64(s.OriginalMaxPositions)
	wavelength := float64(2*math.Pi) / w
	switch {
	case wavelength < original/s.HighFreqFactor:
		return w
	case wavelength > original/s.LowFreqFactor:
		return w / s.Factor
	}
	smooth := (original/wavelength - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
	return float64(float64(1-smooth)*w/s.Factor) + float64(smooth*w)
}

// ropeTable fills cs[T,D]: row t holds cos(t*w[i]) in columns [0,D/2) and sin(t*w[i]) in [D/2,D).
// Computed in float64 and rounded once.
func ropeTable(cs []float32, t int, w []float64) {
	half := len(w)
	for i := range w {
		for pos := range t {
			angle := float64(float64(pos) * w[i])
			cs[pos*2*half+i] = float32(math.Cos(angle))
			cs[pos*2*half+half+i] = float32(math.Sin(angle))
		}
	}
}
