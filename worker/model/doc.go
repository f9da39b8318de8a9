// Package model is the LLaMA transformer and its relatives (Mistral, Qwen2, Qwen3): its units, its
// forward pass and its hand-written backward pass, for one micro-batch on one device.
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
// 2023, arXiv 2305.13245). Families differ in parts, each with its own field of the configuration:
//
//	rope_scaling     linear, or llama3 (Llama 3.1 and later): rope.go
//	sliding_window   Mistral: a position sees no more than so many keys, itself included. It
//	                 narrows Inputs.First in a buffer of the model's; the kernels know no windows
//	qkv_bias         Qwen2: biases of q, k and v
//	qk_norm          Qwen3: an RMS norm of each head of q and k before rope; its head_dim need not
//	                 be hidden_size / heads
//
// All of them are checked against transformers' classes in the tests, by scripts/make_goldens.py.
//
// Precision (Options.Precision) BF16: parameters are handed in as BF16, and activations and their
// gradients are stored in it, so that every product reads BF16. F32 stay the residual and its
// gradient, since every block adds to them; logits and losses; what norms and softmax save; and the
// gradients handed out. Every op computes in F32.
//
// Recomputation (Options.Recompute) is by block: a block's tensors that Backward computes again
// lie in one set of buffers for all blocks. They come from the same ops on the same operands, so
// that it changes no bit; what the last block left there is still there and is not computed again.
//
// Invariant (I3): gradients are of the sum of losses, never a mean. For one shape and backend every
// sum has one order: rows ascending in the ops, row chunks of the head ascending, and for a tied
// embedding the head's part first. Tables and initial values use this package's own exponential
// function, since the library's chooses its instructions by CPU.
//
// Invariant: the padding of a gradient is 0 after Backward.
package model
