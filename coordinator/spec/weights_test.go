package spec

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

func mustWeights(t *testing.T, text string) []*pb.NamedWeight {
	t.Helper()
	w, err := ParseWeights(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// An edit of a run is what the same edit in its file would have been, whatever the order in which
// edits were made.
func TestSetWeightsIsAnEditOfTheFile(t *testing.T) {
	resolve := func(set ...string) *pb.ResolvedRun {
		r, err := Resolve(context.Background(),
			Inputs{Spec: parseGood(t, "mixture.yaml", set...), readers: fakes()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := resolve("data.edits=[]")
	before := proto.CloneOf(r)
	for _, edit := range []struct {
		weights string
		step    uint64
	}{{"zh=1,en=1,code=2", 351}, {"code=1, en=0, zh=1", 200}, {"zh=3,en=1e-1,code=0", 351}} {
		edited, err := SetWeights(r, edit.step, mustWeights(t, edit.weights))
		if err != nil {
			t.Fatal(err)
		}
		r = edited
	}
	want := resolve("data.edits=[{from_step: 200, weights: {zh: 1, en: 0, code: 1}}, " +
		"{from_step: 351, weights: {zh: 1, en: 1, code: 2}}, " +
		"{from_step: 351, weights: {zh: 3, en: 0.1, code: 0}}]")
	if !proto.Equal(r, want) {
		t.Errorf("edited to\n%v\nwant\n%v", r, want)
	}
	if again := resolve("data.edits=[]"); !proto.Equal(before, again) {
		t.Error("an edit changed the run it was made of")
	}
	for text, bad := range map[string]struct {
		weights string
		step    uint64
	}{
		"no source \"fr\"": {"zh=1,en=1,code=1,fr=1", 5}, "steps count from 1": {"zh=1,en=1,code=1", 0},
		`"en" has no weight`: {"zh=1,code=1", 5}, "every weight is 0": {"zh=0,en=0,code=0", 5},
		"from 0 up": {"zh=-1,en=1,code=1", 5},
	} {
		_, err := SetWeights(r, bad.step, mustWeights(t, bad.weights))
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "zh", "zh=", "=1", "zh=1,,en=2", "zh=x", "zh=.nan", "zh=0x1"} {
		if w, err := ParseWeights(text); err == nil {
			t.Errorf("%q: %v", text, w)
		}
	}
}

// A resume with other weights leaves a record of how the steps before it were mixed.
func TestKeepPast(t *testing.T) {
	was, err := Resolve(context.Background(),
		Inputs{Spec: parseGood(t, "mixture.yaml"), readers: fakes()})
	if err != nil {
		t.Fatal(err)
	}
	now, err := Resolve(context.Background(), Inputs{Spec: parseGood(t, "mixture.yaml",
		"data.schedule=[]", "data.edits=[]", "data.sources.code.weight=2"), readers: fakes()})
	if err != nil {
		t.Fatal(err)
	}
	digest, after := now.Digest, dataset.PlanOf(now.Corpus)
	if err := KeepPast(was, now, 250); err != nil {
		t.Fatal(err)
	}
	if want := dataset.PlanOf(was.Corpus).Splice(250, after); now.Digest == digest ||
		!reflect.DeepEqual(dataset.PlanOf(now.Corpus), want) || len(want) != 3 {
		t.Errorf("plan %v, want %v", dataset.PlanOf(now.Corpus), want)
	}
	same := proto.CloneOf(was)
	if err := KeepPast(was, same, 250); err != nil || !proto.Equal(same, was) {
		t.Errorf("a run without edits became %v (%v)", same, err)
	}
}
