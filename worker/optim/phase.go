package optim

import (
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// parts are the words of Phase.train and the patterns of tensor names that they stand for. A tied
// head has no tensor of its own: it belongs to the embeddings.
var parts = map[string][]string{
	"all":        {"*"},
	"embeddings": {"model.embed_tokens.*"},
	"head":       {"lm_head.*"},
	"blocks":     {"model.layers.*"},
	"norms":      {"model.norm.*", "model.layers.*norm.*"},
}

// PartNames are the words of Phase.train, for people.
func PartNames() []string { return []string{"all", "embeddings", "head", "blocks", "norms"} }

// IsPattern says whether an entry of Phase.train is a pattern of tensor names and not a word.
func IsPattern(part string) bool { return strings.ContainsAny(part, "*.") }

// Selects says whether an entry of Phase.train takes in the tensor of a name. In a pattern, *
// stands for any characters, dots included. A word that is not known takes in nothing.
func Selects(part, name string) bool {
	patterns := parts[part]
	if IsPattern(part) {
		patterns = []string{part}
	}
	for _, p := range patterns {
		if matches(p, name) {
			return true
		}
	}
	return false
}

// matches says whether a name has the form of a pattern of plain characters and *.
func matches(pattern, name string) bool {
	pieces := strings.Split(pattern, "*")
	if len(pieces) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, pieces[0])
	if !ok {
		return false
	}
	for _, piece := range pieces[1 : len(pieces)-1] {
		at := strings.Index(rest, piece) // the first place leaves most to the pieces after it
		if at < 0 {
			return false
		}
		rest = rest[at+len(piece):]
	}
	return strings.HasSuffix(rest, pieces[len(pieces)-1])
}

// PhaseOf is the phase of a step (1-based): the first one that lasts until it; nil after the last,
// where everything is trained.
func PhaseOf(phases []*pb.Phase, step uint64, run Length) *pb.Phase {
	for _, p := range phases {
		if step <= run.Of(p.GetUntil()) {
			return p
		}
	}
	return nil
}

// Trains says whether a tensor is trained in a phase.
func Trains(phase *pb.Phase, name string) bool {
	if phase == nil {
		return true
	}
	for _, part := range phase.GetTrain() {
		if Selects(part, name) {
			return true
		}
	}
	return false
}

// Peak is the peak of the learning rate in a phase.
func Peak(o *pb.Optimizer, phase *pb.Phase) float64 {
	if lr := phase.GetLr(); lr > 0 {
		return lr
	}
	return o.GetLr()
}
