package source

import (
	"fmt"
	"path"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// Kind tells what a file holds and how it is compressed, by the endings of its name. A format that
// is given holds for every name. Names with no known ending hold JSON lines.
func Kind(uri string, format pb.Format) (pb.Format, pb.Compression, error) {
	name := strings.ToLower(path.Base(uri))
	compression := pb.Compression_COMPRESSION_UNSPECIFIED
	ending := path.Ext(name)
	switch ending {
	case ".gz":
		compression = pb.Compression_GZIP
	case ".zst", ".zstd":
		compression = pb.Compression_ZSTD
	case ".bz2", ".xz", ".zip", ".7z", ".lz4", ".br", ".tar", ".tgz":
		return 0, 0, fmt.Errorf("%s: %s files are not read: write it as .gz, .zst or uncompressed",
			uri, ending)
	}
	if compression != pb.Compression_COMPRESSION_UNSPECIFIED {
		name = strings.TrimSuffix(name, ending)
		ending = path.Ext(name)
	}
	if format == pb.Format_FORMAT_UNSPECIFIED {
		switch ending {
		case ".txt":
			format = pb.Format_TXT
		case ".parquet":
			format = pb.Format_PARQUET
		case ".csv", ".tsv", ".arrow", ".tar":
			return 0, 0, fmt.Errorf("%s: %s files are not read: write it as .jsonl, .txt or .parquet",
				uri, ending)
		default:
			format = pb.Format_JSONL
		}
	}
	if format == pb.Format_PARQUET && compression != pb.Compression_COMPRESSION_UNSPECIFIED {
		return 0, 0, fmt.Errorf("%s: parquet in a compressed file is not read, as it compresses its "+
			"columns itself: unpack it", uri)
	}
	return format, compression, nil
}
