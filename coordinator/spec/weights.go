package spec

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// SetWeights is a run with other weights from a step on, as an edit of its spec. All before that
// step is as it was. Nothing is read: the edit is weighed by what was pinned at launch.
func SetWeights(r *pb.ResolvedRun, from uint64, weights []*pb.NamedWeight,
) (*pb.ResolvedRun, error) {
	fail := func(err error) (*pb.ResolvedRun, error) {
		return nil, fmt.Errorf("set weights of run %s: %w", r.GetSpec().GetName(), err)
	}
	if from == 0 {
		return fail(errors.New("steps count from 1: name the first step with the new weights"))
	}
	edited := proto.CloneOf(r)
	data := edited.GetSpec().GetData()
	edit := &pb.WeightEdit{FromStep: from}
	for _, w := range weights {
		edit.Weights = append(edit.Weights, proto.CloneOf(w))
	}
	slices.SortFunc(edit.Weights, func(a, b *pb.NamedWeight) int {
		return strings.Compare(a.GetSource(), b.GetSource())
	})
	// Behind those of the same step, which it replaces; before later ones, which stay.
	at := slices.IndexFunc(data.Edits, func(e *pb.WeightEdit) bool { return e.GetFromStep() > from })
	if at < 0 {
		at = len(data.Edits)
	}
	data.Edits = slices.Insert(data.Edits, at, edit)
	batch := edited.GetSpec().GetTrain().GetGlobalBatch()
	if err := dataset.Weigh(edited.GetCorpus(), data, batch); err != nil {
		return fail(err)
	}
	if err := Validate(edited.GetSpec()); err != nil {
		return fail(err)
	}
	if err := errors.Join(fitEpochs(edited)...); err != nil {
		return fail(err)
	}
	return edited, KeepPast(r, edited, from-1)
}

// KeepPast makes an edited run mix its first so many steps as they were mixed: the mixture that the
// run records is that of its whole history, whatever was edited when.
func KeepPast(was, now *pb.ResolvedRun, steps uint64) error {
	sources := len(now.GetCorpus().GetSources())
	if len(was.GetCorpus().GetSources()) != sources {
		return nil // another corpus: refused where the edit is applied
	}
	plan := dataset.PlanOf(was.GetCorpus()).Splice(steps, dataset.PlanOf(now.GetCorpus()))
	if err := plan.Validate(sources); err != nil {
		return fmt.Errorf("keep the mixture of steps 1 to %d: %w", steps, err)
	}
	dataset.SetPlan(now.GetCorpus(), plan)
	digest, err := Digest(now)
	now.Digest = digest
	return err
}

// WeightsText writes weights as the command line takes them.
func WeightsText(weights []*pb.NamedWeight) string {
	var parts []string
	for _, w := range weights {
		parts = append(parts, w.GetSource()+"="+strconv.FormatFloat(w.GetWeight(), 'g', -1, 64))
	}
	return strings.Join(parts, ", ")
}

// ParseWeights reads name=weight,name=weight.
func ParseWeights(text string) ([]*pb.NamedWeight, error) {
	var weights []*pb.NamedWeight
	for part := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(part, "=")
		weight, err := parseNumber(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !found || name == "" || err != nil {
			return nil, fmt.Errorf("%q is no weight of a source: write zh=0.6,en=0.4", short(part))
		}
		weights = append(weights, &pb.NamedWeight{Source: name, Weight: weight})
	}
	return weights, nil
}
