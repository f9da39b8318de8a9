package view

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/banyan-train/banyan/dataset/survey"
	"github.com/banyan-train/banyan/dataset/trace"
)

// Account writes what a step was trained on, a document a paragraph, with so many characters of
// each text; -1: all.
func Account(w io.Writer, a *trace.Account, text int) error {
	verified := "not verified: no checkpoint holds its record yet"
	if a.Verified {
		verified = "verified against the run's record"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "step %d, data digest %.16s, %s\n", a.Step, a.Digest, verified)
	for _, p := range a.Passages {
		fmt.Fprintf(&out, "\nslot %d  %s (%s)  %s  %s  tokens %d-%d\n", p.Slot, p.Source,
			p.Lang, p.File, p.Place, p.Token, p.Token+p.Tokens-1)
		if text != 0 {
			fmt.Fprintf(&out, "    %s\n", excerpt(p.Text, text))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// excerpt is the start of a text, on one line.
func excerpt(s string, characters int) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	runes := []rune(s)
	if characters >= 0 && len(runes) > characters {
		return fmt.Sprintf("%q...", string(runes[:characters]))
	}
	return fmt.Sprintf("%q", s)
}

// Audit writes what a run has consumed.
func Audit(w io.Writer, r *trace.Report) error {
	fmt.Fprintf(w, "ok: steps 1 to %d replayed; every digest is the recorded one, and each token was "+
		"consumed once, in order\n\n", r.Steps)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SOURCE\tLANG\tSEQUENCES\tTARGETS\tDOCUMENTS\tSHARE\tPLANNED\tEPOCHS")
	for _, s := range r.Sources {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%.2f%%\t%.2f%%\t%.2f\n", s.Name, s.Lang, s.Sequences,
			s.Targets, s.Documents, 100*s.Share, 100*s.Planned, s.Epochs)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\ntargets %d, data digest %s\n", r.Targets, r.Digest)
	return err
}

// sampleText is how many characters of a sample are shown.
const sampleText = 300

// Survey writes what the sources of a run hold.
func Survey(w io.Writer, r *survey.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SOURCE\tLANG\tDOCUMENTS\tTEXT BYTES\tTOKENS\tTOKENS/CHAR\tEPOCHS\tPLANNED\t"+
		"REALISED\tDUPLICATES\tBROKEN")
	for _, s := range r.Sources {
		about := ""
		if s.Sampled {
			about = "~"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%.3f\t%.2f\t%.2f%%\t%.2f%%\t%s%d\t%d\n", s.Name, s.Lang,
			s.Documents, s.Bytes, s.Tokens, s.TokensPerCharacter, s.Epochs, 100*s.Planned,
			100*s.Realised, about, s.Duplicates, s.Broken)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%d tokens are planned; realised: over the first %d steps\n",
		r.PlannedTokens, r.Steps)
	for _, s := range r.Sources {
		if s.Broken > 0 {
			fmt.Fprintf(&out, "\n%s: %d broken records, %d of them not UTF-8; the first:\n    %s\n",
				s.Name, s.Broken, s.BadUTF8, strings.Join(s.FirstBad, "\n    "))
		}
	}
	fmt.Fprint(&out, "\nLongest documents\n")
	for _, s := range r.Sources {
		for _, d := range s.Longest {
			fmt.Fprintf(&out, "  %s  %d bytes, %d tokens  %s %s\n", s.Name, d.Bytes, d.Tokens,
				d.File, d.Place)
		}
	}
	for _, s := range r.Samples {
		fmt.Fprintf(&out, "\nSample of %s, slot %d\n    %s\n", s.Source, s.Slot,
			excerpt(s.Text, sampleText))
	}
	_, err := io.WriteString(w, out.String())
	return err
}
