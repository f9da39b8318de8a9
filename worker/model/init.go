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
	s := generatorOf(p.Name, seed)
	for i := 0; i < len(dst); i += 2 {
		x, y := s.normals(cfg.InitializerRange)
		dst[i] = float32(x)
		if i+1 < len(dst) {
			dst[i+1] = float32(y)
		}
	}
}

// Normals are the standard normal values of the rows of a tensor, each row for itself.
type Normals struct {
	name string
	seed uint64
}

// NormalsOf names the values of a tensor.
func NormalsOf(name string, seed uint64) Normals { return Normals{name, seed} }

// Row fills dst with row r: a function of name, seed and r alone.
func (n Normals) Row(r int, dst []float32) {
	s := generatorOf(n.name, n.seed+mix64(uint64(r)+1))
	for i := 0; i < len(dst); i += 2 {
		x, y := s.normals(1)
		dst[i] = float32(x)
		if i+1 < len(dst) {
			dst[i+1] = float32(y)
		}
	}
}

func generatorOf(name string, seed uint64) *splitMix {
	h := fnv.New64a()
	h.Write([]byte(name)) // cannot fail
	return &splitMix{state: h.Sum64() ^ mix64(seed)}
}

// splitMix is the generator of Steele, Lea and Flood 2014 (SplitMix64).
type splitMix struct{ state uint64 }

func (s *splitMix) uniform() float64 { // in (0, 1]
	s.state += 0x9e3779b97f4a7c15
	return float64(mix64(s.state)>>11+1) / (1 << 53)
}

// normals makes two normals of a deviation, of two uniforms (Box and Muller 1958).
func (s *splitMix) normals(deviation float64) (x, y float64) {
	r := deviation * math.Sqrt(-2*math.Log(s.uniform()))
	angle := 2 * math.Pi * s.uniform()
	return r * math.Cos(angle), r * math.Sin(angle)
}

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
