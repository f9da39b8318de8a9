package ref

import "math"

// Matmul sets c[M,N] = op(a) * op(b), or adds it; a is stored [K,M] if ta, b as [N,K] if tb.
// bias[N] and add[M,N], where not nil, are added to the product.
func Matmul[F Real](c, a, b, bias, add []F, m, n, k int, ta, tb, accumulate bool) {
	row := make([]float64, n)
	for i := range m {
		clear(row)
		for p := range k {
			x := float64(a[at(i, p, m, k, ta)])
			for j := range row {
				row[j] += x * float64(b[at(p, j, k, n, tb)])
			}
		}
		for j, sum := range row {
			if accumulate {
				sum += float64(c[i*n+j])
			}
			if bias != nil {
				sum += float64(bias[j])
			}
			if add != nil {
				sum += float64(add[i*n+j])
			}
			c[i*n+j] = F(sum)
		}
	}
}

// at is the place of element (i, j) of a [rows,cols] matrix, which is stored [cols,rows] if t.
func at(i, j, rows, cols int, t bool) int {
	if t {
		return j*rows + i
	}
	return i*cols + j
}

// Embed sets row r of y[R,C] to row ids[r] of table[V,C].
func Embed[F Real](y, table []F, ids []int32, c int) {
	for r, id := range ids {
		copy(y[r*c:(r+1)*c], table[int(id)*c:])
	}
}

// EmbedGrad adds row r of dy[R,C] to row ids[r] of dtable[V,C], r ascending.
func EmbedGrad[F Real](dtable, dy []F, ids []int32, c int) {
	for r, id := range ids {
		for i := range c {
			dtable[int(id)*c+i] += dy[r*c+i]
		}
	}
}

// RMSNorm sets y[R,C] = x * rstd * w and rstd[R]; C is len(w).
func RMSNorm[F Real](y, rstd, x, w []F, eps float64) {
	c := len(w)
	for r := range rstd {
		var sum float64
		for i := range c {
			sum += float64(x[r*c+i]) * float64(x[r*c+i])
		}
		s := 1 / math.Sqrt(sum/float64(c)+eps)
		rstd[r] = F(s)
		for i := range c {
			y[r*c+i] = F(float64(x[r*c+i]) * s * float64(w[i]))
		}
	}
}

// SumRows sets y[C] to the sum of the rows of x[R,C].
func SumRows[F Real](y, x []F, rows int) {
	for i := range y {
		var sum float64
		for r := range rows {
			sum += float64(x[r*len(y)+i])
		}
		y[i] = F(sum)
	}
}

// RMSNormGrad sets dx[R,C], or adds to it, and sets dw[C].
func RMSNormGrad[F Real](dx, dw, dy, x, w, rstd []F, accumulate bool) {
	c := len(w)
	sums := make([]float64, c)
	for r := range rstd {
		s := float64(rstd[r])
		var dot float64
		for i := range c {
			g, v := float64(dy[r*c+i]), float64(x[r*c+i])
			dot += g * float64(w[i]) * v
			sums[i] += g * v * s
		}
		pull := dot * s * s * s / float64(c)
		for i := range c {
			g := float64(dy[r*c+i])*float64(w[i])*s - float64(x[r*c+i])*pull
			if accumulate {
				g += float64(dx[r*c+i])
			}
			dx[r*c+i] = F(g)
		}
	}
	for i, sum := range sums {
		dw[i] = F(sum)
	}
}

// Rope rotates x[R,heads,D] in place by the cos and sin of cs[P,D] at pos[R]; inverse rotates back.
func Rope[F Real](x []F, pos []int32, cs []F, heads, d int, inverse bool) {
	half := d / 2
	for r, p := range pos {
		for h := range heads {
			v := x[(r*heads+h)*d:]
			for i := range half {
				co, si := float64(cs[int(p)*d+i]), float64(cs[int(p)*d+half+i])
				if inverse {
					si = -si
				}
				a, b := float64(v[i]), float64(v[half+i])
				v[i], v[half+i] = F(a*co-b*si), F(b*co+a*si)
			}
		}
	}
}

// CrossEntropy sets loss[R], and grad[R,V] to the gradient of the sum of losses; it may be logits.
func CrossEntropy[F Real](loss, logits, grad []F, targets []int32, v int) {
	for r, target := range targets {
		row, out := logits[r*v:(r+1)*v], grad[r*v:(r+1)*v]
		if target < 0 {
			clear(out)
			loss[r] = 0
			continue
		}
		top := math.Inf(-1)
		for _, x := range row {
			if float64(x) > top {
				top = float64(x)
			}
		}
		var sum float64
		for _, x := range row {
			sum += math.Exp(float64(x) - top)
		}
		loss[r] = F(math.Log(sum) + top - float64(row[target]))
		for i, x := range row {
			g := math.Exp(float64(x)-top) / sum
			if i == int(target) {
				g--
			}
			out[i] = F(g)
		}
	}
}
