package model

import "github.com/banyan-train/banyan/worker/kernel"

// pass is what a program is for.
type pass uint8

const (
	passForward pass = iota
	passLoss
	passBackward
)

// programKey is all that a unit's program depends on: the pass and where its operands lie.
type programKey struct {
	pass          pass
	unit          int
	params, grads [2]kernel.Addr
}

// cachedPrograms bounds the cache, for callers that never use a buffer twice.
const cachedPrograms = 4096

// run builds the program of a pass once for each set of addresses, and runs it.
func (m *Model) run(p pass, unit int, params, grads []kernel.Tensor) error {
	key := programKey{pass: p, unit: unit}
	for i := range params {
		key.params[i] = params[i].Addr
	}
	for i := range grads {
		key.grads[i] = grads[i].Addr
	}
	ops, ok := m.programs[key]
	if !ok {
		ops = m.build(p, unit, params, grads)
		if len(m.programs) >= cachedPrograms {
			clear(m.programs)
		}
		m.programs[key] = ops
	}
	return m.be.Run(ops)
}

func (m *Model) build(p pass, unit int, params, grads []kernel.Tensor) []kernel.Op {
	last := len(m.units) - 1
	switch {
	case unit == last:
		return m.headProgram(params, grads)
	case unit == 0 && p == passForward:
		return m.embedForward(params[0])
	case unit == 0:
		return m.embedBackward(grads[0])
	case p == passForward:
		return m.blockForward(unit-1, m.weights(unit, params[0]))
	}
	return m.blockBackward(unit-1, m.weights(unit, params[0]), m.weights(unit, grads[0]), grads[0])
}

// view cuts a unit's flat tensor into its parameters, in the order of Unit.Params.
func (m *Model) view(unit int, flat kernel.Tensor) []kernel.Tensor {
	params := m.units[unit].Params
	out := make([]kernel.Tensor, len(params))
	for i, p := range params {
		out[i] = flat.Slice(p.Offset, p.Offset+p.Len())
	}
	return out
}

// zeroPadding appends the op that clears a gradient's padding, if it has any.
func (m *Model) zeroPadding(ops []kernel.Op, unit int, grad kernel.Tensor) []kernel.Op {
	if used := m.units[unit].used(); used < grad.Len {
		ops = append(ops, kernel.Fill(grad.Slice(used, grad.Len), 0))
	}
	return ops
}
