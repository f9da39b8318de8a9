// Package hf reads and writes Hugging Face model folders: config.json, and weights in
// safetensors, in one file or several with an index.
//
//	folder/
//	  config.json                       the mathematics: pb.ModelConfig
//	  model.safetensors                 or model.safetensors.index.json and the files it names
//	  tokenizer.json ...                not read here; copied into an export
//
// It owns the translation between these files and the model's configuration and tensors. It never
// interprets a tokenizer, and never downloads: URIs go through a store.Opener.
//
//	f, err := hf.Load(ctx, op, "s3://models/llama")   // reads config and headers, not the weights
//	err = f.Read(ctx, "model.norm.weight", 0, 64, dst)
//	err = hf.Write(ctx, op, "file:///exports/mine", cfg, tensors, tokenizerFiles)
//
// Invariant: Load either understands every key of config.json or fails and names the key. A key
// that changes the mathematics in a way the model does not compute is never ignored.
//
// Invariant: reads of weights are pinned to the content that Load saw (size and ETag).
//
// Invariant (I13): a hostile folder gets an error; it costs bounded memory.
package hf
