package dataset

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/banyan-train/banyan/dataset/mix"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Shares turns the weights of sources into shares of the target tokens in units of 2^-32 that sum
// to 2^32: each gets the whole units of its exact share, and the rest go one each to those with the
// largest remainders (ties: the first). Weights need not sum to 1.
func Shares(sources []*pb.Source) ([]uint64, error) {
	if len(sources) == 0 {
		return nil, errors.New("data.sources is empty: name at least one source")
	}
	seen := map[string]bool{}
	sum := new(big.Rat)
	for _, s := range sources {
		if seen[s.GetName()] {
			return nil, fmt.Errorf("two sources are named %q: the name keys the order, make it unique",
				s.GetName())
		}
		seen[s.GetName()] = true
		if w := s.GetWeight(); !(w > 0) || math.IsInf(w, 0) {
			return nil, fmt.Errorf("source %q: weight is %g, want a positive number", s.GetName(), w)
		}
		sum.Add(sum, new(big.Rat).SetFloat64(s.GetWeight()))
	}
	shares := make([]uint64, len(sources))
	rests := make([]*big.Rat, len(sources))
	left := uint64(mix.One)
	for i, s := range sources {
		exact := new(big.Rat).SetFloat64(s.GetWeight())
		exact.Mul(exact, big.NewRat(mix.One, 1)).Quo(exact, sum)
		whole := new(big.Int).Quo(exact.Num(), exact.Denom())
		rests[i] = exact.Sub(exact, new(big.Rat).SetInt(whole))
		shares[i] = whole.Uint64()
		left -= shares[i]
	}
	order := make([]int, len(sources))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return rests[b].Cmp(rests[a]) })
	for _, i := range order[:left] {
		shares[i]++
	}
	for i, s := range sources {
		if shares[i] == 0 {
			return nil, fmt.Errorf("source %q: weight %g is less than 2^-32 of all: it would never "+
				"be read; raise it or remove the source", s.GetName(), s.GetWeight())
		}
	}
	return shares, nil
}

// Realised is the share of the sequences that each source has after so many steps.
func (c *Config) Realised(steps uint64) ([]float64, error) {
	m, err := mix.New(c.weights(), c.GlobalBatch)
	if err != nil {
		return nil, err
	}
	shares := make([]float64, len(c.Corpus.GetSources()))
	for range steps {
		for _, source := range m.Next() {
			shares[source]++
		}
	}
	for i := range shares {
		shares[i] /= float64(max(steps, 1)) * float64(c.GlobalBatch)
	}
	return shares, nil
}
