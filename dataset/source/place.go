package source

import (
	"fmt"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Place says in words where a record starts in a file: at a row of parquet, else at a byte.
func Place(f *pb.PinnedFile, start int64) string {
	switch {
	case f.GetFormat() == pb.Format_PARQUET:
		return fmt.Sprintf("row %d", start)
	case f.GetCompression() == pb.Compression_COMPRESSION_UNSPECIFIED:
		return fmt.Sprintf("byte %d", start)
	case len(f.GetBlockSizes()) > 1: // every block is decompressed by itself
		return fmt.Sprintf("byte %d of its block, decompressed", start)
	}
	return fmt.Sprintf("byte %d, decompressed", start)
}
