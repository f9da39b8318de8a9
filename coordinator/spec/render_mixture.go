package spec

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/dataset/mix"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// renderMixture shows what each source gives to the run as a whole, and when its share changes.
func renderMixture(w io.Writer, r *pb.ResolvedRun) {
	tw := table(w)
	fmt.Fprintln(tw, "  source\tlang\tshare\tplanned tokens\tepochs\tfiles\tbytes\tblocks")
	for i, e := range Epochs(r) {
		src := r.GetCorpus().GetSources()[i]
		var size uint64
		for _, f := range src.GetFiles() {
			size += f.GetSize()
		}
		epochs := "-"
		if e.Known {
			epochs = fmt.Sprintf("%.2f", e.Planned)
		}
		blocks := fmt.Sprintf("%d x %s", src.GetBlocks(), bytesText(int64(src.GetBlockBytes())))
		if src.GetStaged() {
			blocks = "staged"
		}
		fmt.Fprintf(tw, "  %s\t%s\t%.2f%%\t%s\t%s\t%d\t%s\t%s\n", src.GetName(), src.GetLang(),
			100*e.Share, withCommas(e.Tokens), epochs, len(src.GetFiles()),
			bytesText(int64(size)), blocks)
	}
	flush(tw)
	if slices.ContainsFunc(r.GetCorpus().GetSources(), (*pb.SourceManifest).GetStaged) {
		fmt.Fprintf(w, "\n  staged: too few documents can be found without reading those before them "+
			"for each of the %d\n  slots to read its own; the ranks tokenize the source once, before "+
			"the first step, into\n  %s/staged\n", r.GetSpec().GetTrain().GetGlobalBatch(),
			strings.TrimRight(r.GetSpec().GetCheckpoint().GetTo(), "/"))
	}
	renderUnit(w, r)
	renderSegments(w, r)
}

// renderUnit shows what weights in bytes or documents were converted by.
func renderUnit(w io.Writer, r *pb.ResolvedRun) {
	unit := r.GetSpec().GetData().GetWeightUnit()
	if unit != pb.WeightUnit_BYTES && unit != pb.WeightUnit_DOCUMENTS {
		return
	}
	fmt.Fprintf(w, "\n  weights are in %s, converted by a sample of each source\n\n", word(unit))
	tw := table(w)
	fmt.Fprintln(tw, "  source\tdocuments\tbytes of text\ttokens\ttokens a byte\ttokens a document")
	for _, src := range r.GetCorpus().GetSources() {
		s := src.GetSample()
		tokens := float64(s.GetTokens())
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%.4f\t%.1f\n", src.GetName(), withCommas(s.GetDocuments()),
			withCommas(s.GetBytes()), withCommas(s.GetTokens()),
			tokens/float64(max(1, s.GetBytes())), tokens/float64(max(1, s.GetDocuments())))
	}
	flush(tw)
}

// renderSegments shows the weights over time; nothing where they never change.
func renderSegments(w io.Writer, r *pb.ResolvedRun) {
	if len(r.GetCorpus().GetMixture()) == 0 {
		return
	}
	fmt.Fprint(w, "\n  shares of the tokens by steps\n\n")
	tw := table(w)
	var names []string
	for _, src := range r.GetCorpus().GetSources() {
		names = append(names, src.GetName())
	}
	fmt.Fprintf(tw, "  steps\t%s\n", strings.Join(names, "\t"))
	first := uint64(1)
	for _, s := range dataset.PlanOf(r.GetCorpus()) {
		last := r.GetTotalSteps()
		if s.Until > 0 {
			last = min(s.Until, last)
		}
		if first > last {
			break
		}
		fmt.Fprintf(tw, "  %s-%s", withCommas(first), withCommas(last))
		for i := range names {
			fmt.Fprintf(tw, "\t%s", shareText(s, i, first, last))
		}
		fmt.Fprintln(tw)
		first = last + 1
	}
	flush(tw)
}

// shareText is a share, or where a ramp begins and ends with it.
func shareText(s mix.Segment, source int, first, last uint64) string {
	from := float64(s.From[source]) / mix.One
	if s.To == nil {
		return fmt.Sprintf("%.2f%%", 100*from)
	}
	rise := (float64(s.To[source])/mix.One - from) / float64(s.Steps)
	return fmt.Sprintf("%.2f%%..%.2f%%", 100*(from+rise*float64(first-1-s.Start)),
		100*(from+rise*float64(last-s.Start)))
}
