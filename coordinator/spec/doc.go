// Package spec turns what a user writes (run.yaml) into what the system runs on (pb.ResolvedRun).
//
// It owns the grammar of run.yaml, its defaults (defaults.go), its checks, and the plan that
// `banyan plan` prints. It starts nothing and changes nothing: Parse reads the file and looks at
// local inputs, Resolve reads the inputs and pins them.
//
//	run.yaml --Parse--> pb.RunSpec --Resolve--> pb.ResolvedRun --RenderPlan--> text
//	                      ^    |                (pinned: model, tokenizer, corpus; digest)
//	                      |    +--Format--> YAML
//	                      +-- Edit (path=value, a recorded change)
//
// The grammar is the RunSpec message itself: YAML keys are its field names, found by reflection,
// so that a field added to the proto is a key of the file, with a typed, checked value. Parsing is
// strict and total: an unknown key, a wrong type, a value out of range is an error with its line,
// column, path and fix, and all errors of a file come at once.
//
// Human values: counts take 10B, 1.5M, 512K (powers of ten); byte sizes take 64KiB, 16MiB;
// a span of training is 100 (steps), 5% (of the run) or 50M tokens; a range is 3 or 2..8; a path
// without a scheme is a local one, relative to the folder of the YAML file.
//
// Invariants: I12, no secret is accepted in a spec, and no value under a key that looks like one
// is repeated in an error. I13, no input makes it panic or use memory beyond a small multiple of
// MaxBytes.
package spec
