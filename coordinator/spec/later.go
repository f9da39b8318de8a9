package spec

// laterKeys are fields that the design has and this version has not, with what to do meanwhile.
// They are refused by name: a silently ignored field would be a broken promise.
var laterKeys = map[string]string{
	"checkpoint.snapshot_every": "remove it; recovery goes through checkpoints, see checkpoint.every",
	"numerics":                  "write it under train",
}

// laterValues are values of enums that the design has and this version has not, by path.
var laterValues = map[string]map[string]string{
	"train.precision":  {"fp16": "write bf16 or fp32"},
	"resources.device": {"cuda": "write cpu or auto", "gpu": "write cpu or auto"},
}
