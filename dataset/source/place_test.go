package source

import (
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func TestPlaceIsAByteOrARow(t *testing.T) {
	two := []uint64{3, 9}
	for want, f := range map[string]*pb.PinnedFile{
		"row 7":                             {Format: pb.Format_PARQUET, BlockSizes: two},
		"byte 7":                            {},
		"byte 7, decompressed":              {Compression: pb.Compression_GZIP, BlockSizes: []uint64{3}},
		"byte 7 of its block, decompressed": {Compression: pb.Compression_ZSTD, BlockSizes: two},
	} {
		if got := Place(f, 7); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

// A row has no byte in the file; trouble in its text does have one there.
func TestBadRowsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"ab\xff":                 "invalid UTF-8 (byte 2) of its text: convert",
		strings.Repeat("x", 100): "longer than max_record (64 bytes): split it",
	} {
		table := columns(t, 2, []string{"a", "b", "c", text})
		m := &pb.SourceManifest{TextField: "meta.text"}
		c := pinned(t, 1<<20, m, map[string][]byte{"a.parquet": table})
		c.options.MaxRecord, c.options.Once = 64, true
		r := c.reader(t, 0)
		var err error
		for range 4 {
			if _, err = r.Next(t.Context()); err != nil {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), "a.parquet: row 3 (of row group 1): ") ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%.9q: %v, want row 3 and %q", text, err, want)
		}
	}
}
