package view

import (
	"encoding/json"
	"io"
	"math"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// stepJSON is one line of `watch --json`. Floats are in shortest round-trip form, so that two
// curves can be compared with diff.
type stepJSON struct {
	Step         uint64            `json:"step"`
	Generation   uint64            `json:"generation"`
	Loss         number            `json:"loss"`
	LossByLang   map[string]number `json:"loss_by_lang"`
	LossBySource map[string]number `json:"loss_by_source"`
	BitsPerByte  map[string]number `json:"bits_per_byte"`
	GradNorm     number            `json:"grad_norm"`
	LR           number            `json:"lr"`
	Tokens       uint64            `json:"tokens"`
	DataDigest   string            `json:"data_digest"`
	EvalBase     []evalJSON        `json:"eval_base,omitempty"` // before this step
	Eval         []evalJSON        `json:"eval,omitempty"`      // after it
	Skipped      string            `json:"skipped,omitempty"`
	Guard        string            `json:"guard,omitempty"`
	Numerics     string            `json:"numerics,omitempty"`
	Mixture      []shareJSON       `json:"mixture,omitempty"`
	Padding      uint64            `json:"padding,omitempty"`
	Timings      timingsJSON       `json:"timings"`
}

// shareJSON is what a source has had of the run so far.
type shareJSON struct {
	Source    string `json:"source"`
	Sequences uint64 `json:"sequences"`
	Share     number `json:"share"`
	Owed      number `json:"owed"`
}

// evalJSON is the evaluation of one held-out set.
type evalJSON struct {
	Set         string `json:"set"`
	Lang        string `json:"lang"`
	Loss        number `json:"loss"`
	Perplexity  number `json:"perplexity"`
	BitsPerByte number `json:"bits_per_byte"`
	Targets     uint64 `json:"targets"`
	BaseLoss    number `json:"base_loss,omitempty"` // before training
}

// number is a float that JSON can hold: null where it is not finite, as the loss of a skipped step
// may be.
type number float64

// MarshalJSON writes the shortest form that reads back the same, or null.
func (x number) MarshalJSON() ([]byte, error) {
	if f := float64(x); !math.IsNaN(f) && !math.IsInf(f, 0) {
		return json.Marshal(f)
	}
	return []byte("null"), nil
}

type timingsJSON struct {
	UnixMS     int64   `json:"unix_ms"`
	StepS      float64 `json:"step_s"`
	DataS      float64 `json:"data_s"`
	CommS      float64 `json:"comm_s"`
	TokensPerS float64 `json:"tokens_per_s"`
	World      uint32  `json:"world"`
}

// eventJSON is one line of `watch --json --events`.
type eventJSON struct {
	Event      string `json:"event"`
	Index      uint64 `json:"index"`
	Generation uint64 `json:"generation"`
	Step       uint64 `json:"step"`
	UnixMS     int64  `json:"unix_ms"`
	Text       string `json:"text"`
}

// JSON prints items as lines of JSON: steps always, events on request.
type JSON struct {
	enc    *json.Encoder
	events bool
}

// NewJSON returns a printer to w.
func NewJSON(w io.Writer, events bool) *JSON {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &JSON{enc, events}
}

// Item prints one item.
func (j *JSON) Item(item *pb.WatchItem) error {
	if s := item.GetStep(); s != nil {
		t := s.GetTimings()
		return j.enc.Encode(stepJSON{Step: s.GetStep(), Generation: s.GetGeneration(),
			Loss: number(s.GetLoss()), LossByLang: losses(s.GetLossByLang()),
			LossBySource: losses(s.GetLossBySource()), BitsPerByte: bits(s.GetLossByLang()),
			GradNorm: number(s.GetGradNorm()), LR: number(s.GetLr()), Tokens: s.GetTokens(),
			DataDigest: s.GetDataDigest(), EvalBase: evals(s.GetEvalBase()), Eval: evals(s.GetEval()),
			Mixture: shares(s.GetMixture()), Padding: s.GetPadding(),
			Skipped: s.GetSkipped(), Guard: s.GetGuard(), Numerics: s.GetNumerics(),
			Timings: timingsJSON{UnixMS: t.GetUnixMs(), StepS: t.GetStepS(), DataS: t.GetDataS(),
				CommS: t.GetCommS(), TokensPerS: t.GetTokensPerS(), World: t.GetWorld()}})
	}
	if e := item.GetEvent(); e != nil && j.events {
		return j.enc.Encode(eventJSON{Event: e.GetKind().String(), Index: e.GetIndex(),
			Generation: e.GetGeneration(), Step: e.GetStep(), UnixMS: e.GetUnixMs(), Text: e.GetText()})
	}
	return nil
}

func evals(list []*pb.EvalResult) []evalJSON {
	var out []evalJSON
	for _, e := range list {
		out = append(out, evalJSON{Set: e.GetSet(), Lang: e.GetLang(), Loss: number(e.GetLoss()),
			Perplexity: number(e.GetPerplexity()), BitsPerByte: number(e.GetBitsPerByte()),
			Targets: e.GetTargets(), BaseLoss: number(e.GetBaseLoss())})
	}
	return out
}

func shares(list []*pb.SourceShare) []shareJSON {
	var out []shareJSON
	for _, s := range list {
		out = append(out, shareJSON{Source: s.GetName(), Sequences: s.GetSequences(),
			Share: number(s.GetShare()), Owed: number(s.GetOwed())})
	}
	return out
}

func losses(list []*pb.GroupLoss) map[string]number {
	out := map[string]number{}
	for _, g := range list {
		out[g.GetName()] = number(g.GetLoss())
	}
	return out
}

func bits(list []*pb.GroupLoss) map[string]number {
	out := map[string]number{}
	for _, g := range list {
		out[g.GetName()] = number(g.GetBitsPerByte())
	}
	return out
}
