package view

import (
	"encoding/json"
	"io"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// stepJSON is one line of `watch --json`. Floats are in shortest round-trip form, so that two
// curves can be compared with diff.
type stepJSON struct {
	Step         uint64             `json:"step"`
	Generation   uint64             `json:"generation"`
	Loss         float64            `json:"loss"`
	LossByLang   map[string]float64 `json:"loss_by_lang"`
	LossBySource map[string]float64 `json:"loss_by_source"`
	BitsPerByte  map[string]float64 `json:"bits_per_byte"`
	GradNorm     float64            `json:"grad_norm"`
	LR           float64            `json:"lr"`
	Tokens       uint64             `json:"tokens"`
	DataDigest   string             `json:"data_digest"`
	Timings      timingsJSON        `json:"timings"`
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
			Loss: s.GetLoss(), LossByLang: losses(s.GetLossByLang()),
			LossBySource: losses(s.GetLossBySource()), BitsPerByte: bits(s.GetLossByLang()),
			GradNorm: s.GetGradNorm(), LR: s.GetLr(), Tokens: s.GetTokens(),
			DataDigest: s.GetDataDigest(),
			Timings: timingsJSON{UnixMS: t.GetUnixMs(), StepS: t.GetStepS(), DataS: t.GetDataS(),
				CommS: t.GetCommS(), TokensPerS: t.GetTokensPerS(), World: t.GetWorld()}})
	}
	if e := item.GetEvent(); e != nil && j.events {
		return j.enc.Encode(eventJSON{Event: e.GetKind().String(), Index: e.GetIndex(),
			Generation: e.GetGeneration(), Step: e.GetStep(), UnixMS: e.GetUnixMs(), Text: e.GetText()})
	}
	return nil
}

func losses(list []*pb.GroupLoss) map[string]float64 {
	out := map[string]float64{}
	for _, g := range list {
		out[g.GetName()] = g.GetLoss()
	}
	return out
}

func bits(list []*pb.GroupLoss) map[string]float64 {
	out := map[string]float64{}
	for _, g := range list {
		out[g.GetName()] = g.GetBitsPerByte()
	}
	return out
}
