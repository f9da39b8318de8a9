package model_test

import (
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/worker/model"
)

// twin is the model again, in float64, row by row from its formulas, forward only.
type twin struct {
	cfg   *pb.ModelConfig
	shape model.Shape
	in    model.Inputs
	w     map[string][]float64
}

// loss is the sum of all losses.
func (m *twin) loss() float64 {
	x := make([][]float64, len(m.in.Tokens))
	table, c := m.w["model.embed_tokens.weight"], int(m.cfg.HiddenSize)
	for r, id := range m.in.Tokens {
		x[r] = append([]float64{}, table[int(id)*c:(int(id)+1)*c]...)
	}
	for i := range int(m.cfg.Layers) {
		m.block("model.layers."+string(rune('0'+i))+".", x)
	}
	head := table
	if !m.cfg.TiedEmbeddings {
		head = m.w["lm_head.weight"]
	}
	var sum float64
	for r, target := range m.in.Targets {
		if target < 0 {
			continue
		}
		logits := matvec(head, m.norm("model.norm.weight", x[r]))
		var z float64
		for _, l := range logits {
			z += math.Exp(l)
		}
		sum += math.Log(z) - logits[target]
	}
	return sum
}

// block adds a block's two halves to the residual x.
func (m *twin) block(p string, x [][]float64) {
	var q, k, v [][]float64
	for r := range x {
		h := m.norm(p+"input_layernorm.weight", x[r])
		pos := float64(m.in.Pos[r])
		q = append(q, m.rotate(m.heads(p+"self_attn.q_", h), pos))
		k = append(k, m.rotate(m.heads(p+"self_attn.k_", h), pos))
		v = append(v, m.heads(p+"self_attn.v_", h))
	}
	for r := range x {
		add(x[r], matvec(m.w[p+"self_attn.o_proj.weight"], m.attend(r, q[r], k, v)))
		h := m.norm(p+"post_attention_layernorm.weight", x[r])
		gate := matvec(m.w[p+"mlp.gate_proj.weight"], h)
		for i, u := range matvec(m.w[p+"mlp.up_proj.weight"], h) {
			gate[i] *= u / (1 + math.Exp(-gate[i]))
		}
		add(x[r], matvec(m.w[p+"mlp.down_proj.weight"], gate))
	}
}

// heads is one of q, k and v of a row, with the biases and norms that the family has.
func (m *twin) heads(p string, h []float64) []float64 {
	out := matvec(m.w[p+"proj.weight"], h)
	if bias, ok := m.w[p+"proj.bias"]; ok {
		add(out, bias)
	}
	if _, ok := m.w[p+"norm.weight"]; ok {
		for lo, d := 0, int(m.cfg.HeadDim); lo < len(out); lo += d {
			copy(out[lo:], m.norm(p+"norm.weight", out[lo:lo+d]))
		}
	}
	return out
}

func (m *twin) attend(r int, q []float64, k, v [][]float64) []float64 {
	d, heads, kv := int(m.cfg.HeadDim), int(m.cfg.Heads), int(m.cfg.KvHeads)
	from := r - r%m.shape.SeqLen + int(m.in.First[r])
	if window := int(m.cfg.SlidingWindow); window > 0 {
		from = max(from, r-window+1)
	}
	out := make([]float64, heads*d)
	for h := range heads {
		at := h * kv / heads * d
		var z float64
		for s := from; s <= r; s++ {
			var score float64
			for i := range d {
				score += q[h*d+i] * k[s][at+i]
			}
			e := math.Exp(score / math.Sqrt(float64(d)))
			z += e
			for i := range d {
				out[h*d+i] += e * v[s][at+i]
			}
		}
		for i := range d {
			out[h*d+i] /= z
		}
	}
	return out
}

func (m *twin) rotate(x []float64, pos float64) []float64 {
	d := int(m.cfg.HeadDim)
	for h := 0; h < len(x); h += d {
		for i := range d / 2 {
			sin, cos := math.Sincos(pos * m.frequency(i))
			a, b := x[h+i], x[h+i+d/2]
			x[h+i], x[h+i+d/2] = a*cos-b*sin, b*cos+a*sin
		}
	}
	return x
}

// frequency of pair i, scaled as Hugging Face's formulas say.
func (m *twin) frequency(i int) float64 {
	w := math.Pow(m.cfg.RopeTheta, -2*float64(i)/float64(m.cfg.HeadDim))
	s := m.cfg.RopeScaling
	if s == nil {
		return w
	}
	unscaled := 0.0 // share of w that stays
	if s.Kind == "llama3" {
		turns := float64(s.OriginalMaxPositions) * w / (2 * math.Pi)
		unscaled = (turns - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
		unscaled = min(max(unscaled, 0), 1)
	}
	return unscaled*w + (1-unscaled)*w/s.Factor
}

func (m *twin) norm(name string, x []float64) []float64 {
	var sum float64
	for _, a := range x {
		sum += a * a
	}
	scale := 1 / math.Sqrt(sum/float64(len(x))+m.cfg.RmsNormEps)
	out := make([]float64, len(x))
	for i, w := range m.w[name] {
		out[i] = x[i] * scale * w
	}
	return out
}

// matvec is w[out,in] x[in].
func matvec(w, x []float64) []float64 {
	out := make([]float64, len(w)/len(x))
	for o := range out {
		for i, a := range x {
			out[o] += w[o*len(x)+i] * a
		}
	}
	return out
}

func add(x, y []float64) {
	for i := range y {
		x[i] += y[i]
	}
}
