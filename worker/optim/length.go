package optim

import (
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Length is how long a run is, which spans of it are measured against.
type Length struct {
	Steps         uint64
	TokensPerStep uint64 // target tokens, masked ones counted
}

// LengthOf is the length of a resolved run.
func LengthOf(r *pb.ResolvedRun) Length {
	s := r.GetSpec()
	return Length{Steps: r.GetTotalSteps(), TokensPerStep: uint64(s.GetTrain().GetGlobalBatch()) *
		uint64(s.GetData().GetSeqLen())}
}

// Of is the length of a span of the run, in steps. Tokens are rounded up to whole steps, a share
// to the nearest step. It may be longer than the run.
func (l Length) Of(s *pb.Span) uint64 {
	switch {
	case s.GetSteps() > 0:
		return s.GetSteps()
	case s.GetTokens() > 0 && l.TokensPerStep > 0:
		return (s.GetTokens()-1)/l.TokensPerStep + 1
	}
	share := min(max(s.GetShare(), 0), 1)
	return uint64(math.Floor(share*float64(l.Steps) + 0.5))
}
