// Package model is the LLaMA transformer: its units, its forward pass and its hand-written
// backward pass, for one micro-batch on one device.
//
// It knows nothing of distribution, files or data. The caller hands it the parameters of the units
// it asks for (Needs) and buffers for their gradients, unit by unit; where these come from and go
// is the caller's business. It builds kernel programs and never computes a tensor itself.
//
//	m.Inputs()            fill tokens, positions, document starts, targets
//	m.Forward(0 .. last-1)
//	m.Backward(last)      final norm, head, losses, and their gradients
//	m.Backward(last-1 .. 0)
//
// or m.Loss / m.Logits in place of the Backward calls, for evaluation. Calls out of this order are
// errors.
//
// Legend for shapes, as in package kernel: B sequences, T positions, R = B*T rows, C hidden size,
// H query heads, K kv heads, D head size, F ffn size, V vocabulary. Weights are stored as Hugging
// Face stores them, [out, in], so that a unit's parameters are its tensors end to end.
//
// Formulas: Touvron et al. 2023 (arXiv 2302.13971), with grouped-query attention (Ainslie et al.
// 2023, arXiv 2305.13245); checked against transformers' LlamaForCausalLM in the tests.
//
// Invariant (I3): gradients are of the sum of losses, never a mean. For one shape and backend every
// sum has one order: rows ascending in the ops, row chunks of the head ascending, and for a tied
// embedding the head's part first. Tables and initial values use this package's own exponential
// function, since the library's chooses its instructions by CPU.
//
// Invariant: the padding of a gradient is 0 after Backward.
package model
