package spec

import (
	"fmt"
	"io"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// renderReading says what is particular about how the sources are read. Plain JSON lines need no
// word.
func renderReading(w io.Writer, r *pb.ResolvedRun) {
	for i, m := range r.GetCorpus().GetSources() {
		notes := readingNotes(m)
		for k, note := range notes {
			if i == 0 && k == 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "  %s: %s\n", m.GetName(), note)
		}
	}
}

func readingNotes(m *pb.SourceManifest) []string {
	var notes []string
	count := map[string]int{}
	for _, f := range m.GetFiles() {
		switch {
		case f.GetFormat() == pb.Format_PARQUET:
			count["parquet"]++
		case len(f.GetBlockSizes()) == 1 && f.GetCompression() == pb.Compression_GZIP:
			count["gzip"]++
		case len(f.GetBlockSizes()) == 1 && f.GetCompression() == pb.Compression_ZSTD:
			count["zstd"]++
		case f.GetCompression() == pb.Compression_ZSTD:
			count["frames"]++
		}
	}
	note := func(kind, text string) {
		if n := count[kind]; n == 1 {
			notes = append(notes, "1 file "+fmt.Sprintf(text, "is", "it", "its"))
		} else if n > 1 {
			notes = append(notes, fmt.Sprintf("%d files ", n)+fmt.Sprintf(text, "are", "each", "its"))
		}
	}
	note("parquet", "%s parquet: %s is cut at %s row groups")
	note("frames", "%s zstd in frames: %s is cut between %s frames")
	if !m.GetStaged() { // else it is read once, from start to end
		note("gzip", "%s gzip, which cannot be sought: %s is one block, read from %s start at a resume")
		note("zstd", "%s zstd of one frame, or too large to look for frames without a seek table: %s "+
			"is one block, read from %s start at a resume")
	}
	if d := m.GetDocument(); d != pb.Document_DOCUMENT_UNSPECIFIED {
		notes = append(notes, "a document of a text file is a "+word(d))
	}
	if steps := m.GetNormalize(); len(steps) > 0 {
		notes = append(notes, fmt.Sprintf("texts are normalized: %v", steps))
	}
	if m.GetInvalidUtf8() == pb.InvalidUtf8_REPLACE {
		notes = append(notes, "invalid UTF-8 becomes U+FFFD")
	}
	return notes
}
