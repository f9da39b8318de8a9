package tidy

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// table says which of our own packages each package imports outside of its tests. It is the
// architecture: a line that grows is a decision. "proto" stands for proto/banyan/v1.
//
//   - Leaves at the top know nothing of each other. collective, dataset, checkpoint, store and
//     worker/kernel are the parts; worker/train alone puts them together.
//   - Lines cross between parts where one has to name what the other defines. checkpoint puts the
//     model's units into manifests, and checkpoint/hf reads config.json into its configuration, so
//     both import worker/model (Units, Check), which in turn knows neither; checkpoint/export
//     needs the tokenizer's files beside the weights.
//   - coordinator/spec needs worker/model and worker/optim for the memory and the learning rates of
//     a plan. No other line leads from the coordinator to the worker.
//   - internal/leader is shared by clients and workers. internal/local is `banyan up` and
//     internal/demo is `make demo`: both are users of a cluster, and nothing else imports them.
var table = map[string]string{
	"proto/banyan/v1": "",

	"store":                  "",
	"store/file":             "store",
	"store/router":           "proto store store/file store/s3",
	"store/s3":               "store",
	"store/storetest":        "store",
	"store/storetest/faulty": "store",
	"collective":             "",
	"collective/tree":        "",
	"collective/shm":         "",
	"collective/tcp":         "collective collective/shm",
	"collective/grouptest":   "collective collective/tree",
	"collective/nccl": "collective collective/nccl/settings collective/tree gpu gpu/cuda gpu/dl " +
		"gpu/kernels",
	"collective/nccl/fake":     "gpu/fake",
	"collective/nccl/settings": "",
	"dataset/mix":              "",
	"dataset/pack":             "",
	"dataset/source":           "proto store",
	"dataset/tokenize": "dataset/tokenize/merge dataset/tokenize/pieces " +
		"dataset/tokenize/sentencepiece proto store",
	"dataset/tokenize/merge":    "",
	"dataset/tokenize/pieces":   "dataset/tokenize/merge",
	"dataset/internal/memstore": "store",

	"dataset/tokenize/sentencepiece": "dataset/tokenize/pieces",

	"dataset/stage":  "dataset/pack store",
	"dataset/survey": "dataset dataset/source dataset/tokenize proto store",
	"dataset/trace":  "dataset dataset/source proto",

	"dataset": "dataset/mix dataset/pack dataset/source dataset/stage dataset/tokenize proto store",

	"checkpoint/safetensors": "",
	"checkpoint/manifest":    "",
	"checkpoint": "checkpoint/manifest checkpoint/safetensors proto store " +
		"worker/model",
	"checkpoint/hf": "checkpoint/safetensors proto store worker/model",
	"checkpoint/export": "checkpoint checkpoint/hf checkpoint/manifest dataset/tokenize proto " +
		"store",

	"gpu":         "gpu/dl",
	"gpu/dl":      "",
	"gpu/cuda":    "gpu gpu/dl",
	"gpu/nvrtc":   "gpu gpu/dl",
	"gpu/kernels": "gpu/cuda gpu/nvrtc",

	"gpu/kernels/twin": "",

	"gpu/doctor": "gpu gpu/cuda gpu/nvrtc",
	"gpu/fake":   "",

	"worker/kernel":     "",
	"worker/kernel/ref": "worker/kernel",
	"worker/kernel/cpu": "worker/kernel",
	"worker/model":      "proto worker/kernel",
	"worker/optim":      "proto worker/kernel",
	"worker/probe":      "checkpoint/hf proto worker/kernel worker/model",
	"worker/train": "checkpoint checkpoint/hf checkpoint/manifest collective collective/tree " +
		"dataset dataset/tokenize proto store worker/kernel worker/model worker/optim",
	"worker/rank": "checkpoint collective collective/tcp dataset/source internal/frame proto store " +
		"store/router worker/kernel/cpu worker/train",
	"worker/agent": "internal/frame internal/leader proto worker/kernel/cpu",

	"coordinator/state":     "proto",
	"coordinator/plan":      "coordinator/state proto",
	"coordinator/consensus": "proto",
	"coordinator/telemetry": "proto",
	"coordinator/spec": "checkpoint/hf collective/nccl/settings collective/tree dataset " +
		"dataset/mix dataset/tokenize proto store worker/model worker/optim",
	"coordinator/server": "checkpoint checkpoint/manifest coordinator/consensus coordinator/plan " +
		"coordinator/spec coordinator/state coordinator/telemetry internal/leader proto store " +
		"store/router",

	"client": "internal/leader proto",
	"internal/bench": "collective collective/tcp collective/tree dataset dataset/source " +
		"dataset/tokenize proto store/router worker/kernel worker/kernel/cpu worker/model worker/optim",
	"internal/demo": "client internal/local proto",
	"internal/gpucheck": "collective/nccl gpu gpu/cuda gpu/doctor gpu/kernels gpu/kernels/twin " +
		"gpu/nvrtc worker/kernel/cpu",
	"internal/frame":         "",
	"internal/leader":        "proto",
	"internal/local":         "client internal/ports proto",
	"internal/metrics":       "client coordinator/state proto",
	"internal/ports":         "",
	"internal/view":          "dataset/survey dataset/trace proto",
	"internal/testkit":       "internal/ports",
	"internal/tidy":          "",
	"internal/gen/corpora":   "",
	"internal/gen/cubins":    "gpu gpu/kernels gpu/nvrtc",
	"internal/gen/tokenizer": "dataset/tokenize",
	"examples/demo":          "internal/demo",
	"tools/s3server":         "",
	"cmd/banyan": "checkpoint checkpoint/export checkpoint/hf client coordinator/server " +
		"coordinator/spec coordinator/state dataset dataset/survey dataset/tokenize dataset/trace " +
		"gpu gpu/doctor internal/local internal/metrics internal/view proto " +
		"store store/router worker/agent worker/kernel/cpu worker/model worker/probe worker/rank",
}

// testOnly are folders of tests alone, which may import what they test.
var testOnly = []string{"test/"}

// importTable compares the imports outside of tests with the table, both ways.
func importTable(r *repo) []string {
	var out []string
	used := map[string]map[string]bool{}
	for _, f := range r.code {
		if f.test || slices.ContainsFunc(testOnly, func(p string) bool {
			return strings.HasPrefix(f.dir+"/", p)
		}) {
			continue
		}
		line, known := table[f.dir]
		if used[f.dir] == nil {
			used[f.dir] = map[string]bool{}
			if !known {
				out = append(out, f.dir+": the package is not in the table of imports_test.go")
			}
		}
		allowed := strings.Fields(line)
		for p, spec := range f.imports() {
			own, ok := strings.CutPrefix(p, module)
			if !ok || !known {
				continue
			}
			own = strings.Replace(own, "proto/banyan/v1", "proto", 1)
			used[f.dir][own] = true
			if !slices.Contains(allowed, own) {
				out = append(out, r.at(spec, "%s must not import %s", f.dir, own))
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(used)) {
		for _, own := range strings.Fields(table[dir]) {
			if !used[dir][own] {
				out = append(out, fmt.Sprintf("%s: no longer imports %s: shorten its line", dir, own))
			}
		}
	}
	return out
}

// owners are the only packages that import a library, tests included: what it can do wrong is then
// in one place. "C" is cgo.
var owners = map[string][]string{
	"github.com/hashicorp/raft":      {"coordinator/consensus"},
	"go.etcd.io/bbolt":               {"coordinator/consensus"},
	"github.com/nats-io/":            {"coordinator/telemetry"},
	"github.com/aws/":                {"store/s3"},
	"go.yaml.in/yaml":                {"coordinator/spec"},
	"github.com/klauspost/compress/": {"checkpoint", "dataset", "dataset/source"},
	"github.com/parquet-go/":         {"dataset/source"},
	"github.com/versity/versitygw":   {"tools/s3server"},
	"github.com/zeebo/xxh3":          {"collective/tcp"},
	"github.com/spf13/cobra":         {"cmd/banyan"},
	"github.com/prometheus/":         {"internal/metrics"},
	"C": {"worker/kernel/cpu", "gpu/dl", "gpu/cuda", "gpu/nvrtc",
		"collective/nccl"},
}

func ownedImports(r *repo) []string {
	var out []string
	for _, f := range r.code {
		for p, spec := range f.imports() {
			for prefix, dirs := range owners {
				if strings.HasPrefix(p, prefix) && (prefix != "C" || p == "C") &&
					!slices.Contains(dirs, f.dir) {
					out = append(out, r.at(spec, "only %s imports %s", strings.Join(dirs, ", "), p))
				}
			}
		}
	}
	return out
}

// pure packages decide; time, ids and seeds come to them as arguments.
var pure = []string{"coordinator/state", "coordinator/plan", "dataset/mix", "dataset/pack",
	"checkpoint/manifest", "collective/tree", "worker/optim"}

var impure = []string{"net", "os", "log", "math/rand", "crypto/rand", "syscall", "runtime",
	"github.com/rs/zerolog"}

// durations are the names of package time that read no clock.
var durations = []string{"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute",
	"Hour"}

func purePackages(r *repo) []string {
	var out []string
	for _, f := range r.code {
		if f.test || !slices.Contains(pure, f.dir) {
			continue
		}
		for p, spec := range f.imports() {
			if slices.ContainsFunc(impure, func(x string) bool {
				return p == x || strings.HasPrefix(p, x+"/")
			}) {
				out = append(out, r.at(spec, "%s is pure: no %s", f.dir, p))
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if name, ok := selected(n, "time"); ok && !slices.Contains(durations, name) {
				out = append(out, r.at(n, "%s is pure: no time.%s", f.dir, name))
			}
			return true
		})
	}
	return out
}

// selected answers Name of an expression pkg.Name.
func selected(n ast.Node, pkg string) (string, bool) {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", false
	}
	x, ok := s.X.(*ast.Ident)
	return s.Sel.Name, ok && x.Name == pkg
}

// forbid reports imports with a prefix in the files that match.
func forbid(r *repo, where func(*goFile) bool, why string, prefixes ...string) []string {
	var out []string
	for _, f := range r.code {
		if !where(f) {
			continue
		}
		for p, spec := range f.imports() {
			own, ok := strings.CutPrefix(p, module)
			if ok && slices.ContainsFunc(prefixes, func(x string) bool {
				return own == x || strings.HasPrefix(own, x+"/")
			}) {
				out = append(out, r.at(spec, "%s: %s", why, own))
			}
		}
	}
	return out
}

// workerApart also holds for tests: a worker is tested against the protocol, not the coordinator.
func workerApart(r *repo) []string {
	return forbid(r, func(f *goFile) bool { return strings.HasPrefix(f.dir, "worker/") },
		"a worker knows the coordinator by its protocol only", "coordinator")
}

func modelAlone(r *repo) []string {
	return forbid(r, func(f *goFile) bool { return f.dir == "worker/model" && !f.test },
		"the model does not know that it is distributed, nor where its data come from",
		"collective", "checkpoint", "dataset", "store")
}
