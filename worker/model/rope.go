package model

import "math"

// ropeTable fills cs[T,D]: row t holds cos(t*w[i]) in columns [0,D/2) and sin(t*w[i]) in [D/2,D),
// with w[i] = theta^(-2i/D). Computed in float64 and rounded once.
func ropeTable(cs []float32, t, d int, theta float64) {
	half := d / 2
	for i := range half {
		w := exp(-math.Log(theta) * (2 * float64(i) / float64(d)))
		for pos := range t {
			angle := float64(pos) * w
			cs[pos*d+i] = float32(math.Cos(angle))
			cs[pos*d+half+i] = float32(math.Sin(angle))
		}
	}
}
