package model

import (
	"hash/fnv"
	"math"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// InitParam fills dst, p.Len() elements, with the starting value of a parameter: norms 1, biases 0,
// matrices normal with mean 0 and standard deviation cfg.InitializerRange. The values are a
// function of the configuration, the parameter's name and the seed alone.
func InitParam(cfg *pb.ModelConfig, p Param, seed uint64, dst []float32) {
	if len(p.Shape) == 1 {
		start := float32(1)
		if strings.HasSuffix(p.Name, ".bias") {
			start = 0
		}
		for i := range dst {
			dst[i] = start
		}
		return
	}
	h := fnv.New64a()
	h.Write([]byte(p.Name)) // cannot fail
	s := splitMix{state: h.Sum64() ^ mix64(seed)}
	for i := 0; i < len(dst); i += 2 {
		// Box and Muller 1958: two uniforms make two normals.
		r := cfg.InitializerRange * math.Sqrt(-2*math.Log(s.uniform()))
		angle := 2 * math.Pi * s.uniform()
		dst[i] = float32(r * math.Cos(angle))
		if i+1 < len(dst) {
			dst[i+1] = float32(r * math.Sin(angle))
		}
	}
}

// splitMix is the generator of Steele, Lea and Flood 2014 (SplitMix64).
type splitMix struct{ state uint64 }

func (s *splitMix) uniform() float64 { // in (0, 1]
	s.state += 0x9e3779b97f4a7c15
	return float64(mix64(s.state)>>11+1) / (1 << 53)
}

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
