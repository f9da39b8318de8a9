package model

import (
	"fmt"
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// checkFamily refuses parts that the family's class of transformers does not have, or has always:
// a config.json could not say so.
func checkFamily(cfg *pb.ModelConfig) error {
	switch cfg.Family {
	case "llama", "mistral", "qwen2", "qwen3":
	default:
		return fmt.Errorf("model_type is %q, want llama, mistral, qwen2 or qwen3", cfg.Family)
	}
	switch {
	case cfg.QkvBias != (cfg.Family == "qwen2"):
		return fmt.Errorf("model_type %s with qkv_bias %v: qwen2 has biases of q, k and v, no other has",
			cfg.Family, cfg.QkvBias)
	case cfg.QkNorm != (cfg.Family == "qwen3"):
		return fmt.Errorf("model_type %s with qk_norm %v: qwen3 has norms of q and k, no other has",
			cfg.Family, cfg.QkNorm)
	case cfg.Family == "llama" && cfg.SlidingWindow > 0:
		return fmt.Errorf("sliding_window is %d, but llama has none", cfg.SlidingWindow)
	case cfg.SlidingWindow > math.MaxInt32:
		return fmt.Errorf("sliding_window is %d, want at most %d", cfg.SlidingWindow, math.MaxInt32)
	}
	return nil
}

func checkScaling(s *pb.RopeScaling) error {
	if s == nil {
		return nil
	}
	finite := func(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
	switch {
	case s.Kind != "linear" && s.Kind != "llama3":
		return fmt.Errorf("rope_type is %q, want linear or llama3", s.Kind)
	case !finite(s.Factor) || s.Factor < 1:
		return fmt.Errorf("factor is %v, want a finite number of at least 1", s.Factor)
	case s.Kind == "linear":
		return nil
	case !finite(s.LowFreqFactor):
		return fmt.Errorf("low_freq_factor is %v, want a finite positive number", s.LowFreqFactor)
	case !finite(s.HighFreqFactor) || s.HighFreqFactor <= s.LowFreqFactor:
		return fmt.Errorf("high_freq_factor is %v, want more than low_freq_factor, %v",
			s.HighFreqFactor, s.LowFreqFactor)
	case s.OriginalMaxPositions == 0:
		return fmt.Errorf("original_max_position_embeddings is 0, want the length that the model " +
			"was first trained with")
	}
	return nil
}
