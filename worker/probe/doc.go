// Package probe computes with a whole model on one machine, outside of any run: logits of a
// sequence, and the mean loss over a file. It is what `banyan model logits` and `banyan model loss`
// print, so that anyone can hold the engine against another.
//
//	m, err := probe.Load(ctx, folder, be, probe.Options{})
//	logits, err := m.Logits(ids)                       // [T,V]
//	result, err := m.Loss(documents, seqLen)           // one number, see below
//
// The loss is defined so that another engine can compute the same number. Each record is one
// document: its tokens as the tokenizer gives them, without BOS or EOS. The tokens are cut into
// windows of seq_len inputs, each of which predicts its successor:
//
//	tokens     a b c d e f g          seq_len 3
//	window 0   a b c  -> b c d        each window is a sequence of its own: positions start at 0,
//	window 1   d e f  -> e f g        and nothing before it is seen
//
// so that every token but the document's first is a target exactly once. The loss is the sum over
// all targets of the file, divided by their number. Bits per byte divide the same sum by the bytes
// of the documents' text. How windows share the rows of a batch changes nothing but rounding.
//
// It owns neither files nor tokenizers, and never trains.
package probe
