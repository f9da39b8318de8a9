package ref

import "math"

// AttentionShape holds the sizes of Attention and AttentionGrad; head h reads kv head h / (H/K).
type AttentionShape struct {
	B, T, H, K, D int
	Scale         float64
}

func (s AttentionShape) query(b, t, h int) int { return ((b*s.T+t)*s.H + h) * s.D }

func (s AttentionShape) kv(b, t, h int) int { return ((b*s.T+t)*s.K + h/(s.H/s.K)) * s.D }

func dot[F Real](a, b []F) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// Attention sets y[B,T,H,D] and lse[B,H,T]; position t sees [first[b,t], t].
func Attention[F Real](y, lse, q, k, v []F, first []int32, s AttentionShape) {
	scores, sums := make([]float64, s.T), make([]float64, s.D)
	for b := range s.B {
		for h := range s.H {
			for t := range s.T {
				lo, qi := int(first[b*s.T+t]), s.query(b, t, h)
				top := math.Inf(-1)
				for j := lo; j <= t; j++ {
					ki := s.kv(b, j, h)
					scores[j] = s.Scale * dot(q[qi:qi+s.D], k[ki:ki+s.D])
					if scores[j] > top {
						top = scores[j]
					}
				}
				var total float64
				clear(sums)
				for j := lo; j <= t; j++ {
					p, vi := math.Exp(scores[j]-top), s.kv(b, j, h)
					total += p
					for i := range sums {
						sums[i] += p * float64(v[vi+i])
					}
				}
				for i, sum := range sums {
					y[qi+i] = F(sum / total)
				}
				lse[(b*s.H+h)*s.T+t] = F(top + math.Log(total))
			}
		}
	}
}

// AttentionGrad sets dq, dk and dv.
func AttentionGrad[F Real](dq, dk, dv, dy, y, lse, q, k, v []F, first []int32, s AttentionShape) {
	sq := make([]float64, len(dq))
	sk, sv := make([]float64, len(dk)), make([]float64, len(dv))
	for b := range s.B {
		for h := range s.H {
			for t := range s.T {
				qi := s.query(b, t, h)
				dyt := dy[qi : qi+s.D]
				delta := dot(dyt, y[qi:qi+s.D])
				norm := float64(lse[(b*s.H+h)*s.T+t])
				for j := int(first[b*s.T+t]); j <= t; j++ {
					ki := s.kv(b, j, h)
					p := math.Exp(s.Scale*dot(q[qi:qi+s.D], k[ki:ki+s.D]) - norm)
					ds := p * (dot(dyt, v[ki:ki+s.D]) - delta) * s.Scale
					for i := range s.D {
						sv[ki+i] += p * float64(dyt[i])
						sk[ki+i] += ds * float64(q[qi+i])
						sq[qi+i] += ds * float64(k[ki+i])
					}
				}
			}
		}
	}
	round(dq, sq)
	round(dk, sk)
	round(dv, sv)
}

func round[F Real](dst []F, src []float64) {
	for i, x := range src {
		dst[i] = F(x)
	}
}
