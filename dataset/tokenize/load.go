package tokenize

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

const (
	tokenizerFile = "tokenizer.json"
	configFile    = "tokenizer_config.json"
	specialsFile  = "special_tokens_map.json"

	// maxFileBytes bounds what is read into memory; the largest public tokenizer.json is 33 MB.
	maxFileBytes = 256 << 20
)

// Load reads the tokenizer at uri, a folder or a tokenizer.json, and pins its content. A missing
// tokenizer_config.json means that the tokenizer names neither BOS nor EOS.
func Load(ctx context.Context, op store.Opener, uri string) (Tokenizer, *pb.TokenizerPin, error) {
	main := mainURI(uri)
	data, config, err := read(ctx, op, main)
	if err != nil {
		return nil, nil, err
	}
	tok, err := Parse(data, config)
	if err != nil {
		return nil, nil, fmt.Errorf("load tokenizer %s: %w", main, err)
	}
	pin := &pb.TokenizerPin{
		Uri:       main,
		Sha256:    Digest(data, config),
		VocabSize: uint32(tok.VocabSize()),
		EosId:     idOrNone(tok.EOS()),
		BosId:     idOrNone(tok.BOS()),
	}
	return tok, pin, nil
}

// LoadPinned reads the tokenizer a pin names. It fails with store.ErrChanged if tokenizer.json or
// tokenizer_config.json is not byte for byte what was pinned.
func LoadPinned(ctx context.Context, op store.Opener, pin *pb.TokenizerPin) (Tokenizer, error) {
	data, config, err := read(ctx, op, pin.GetUri())
	if err != nil {
		return nil, err
	}
	if sum := Digest(data, config); sum != pin.GetSha256() { // first: a changed file may be no JSON
		return nil, fmt.Errorf(
			"load tokenizer %s: its sha256 with %s is %s, pinned was %s: %w; restore the files, or "+
				"launch a new run", pin.GetUri(), configFile, sum, pin.GetSha256(), store.ErrChanged)
	}
	tok, err := Parse(data, config)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", pin.GetUri(), err)
	}
	return tok, nil
}

// Files returns the tokenizer's files by name, to copy into an export: tokenizer.json, and
// tokenizer_config.json and special_tokens_map.json where they exist.
func Files(ctx context.Context, op store.Opener, uri string) (map[string][]byte, error) {
	main := mainURI(uri)
	data, err := readAll(ctx, op, main)
	if err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	files := map[string][]byte{tokenizerFile: data}
	for _, name := range []string{configFile, specialsFile} {
		data, err := readAll(ctx, op, beside(main, name))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read tokenizer: %w", err)
		}
		files[name] = data
	}
	return files, nil
}

// read returns tokenizer.json and tokenizer_config.json, nil where there is none.
func read(ctx context.Context, op store.Opener, uri string) (data, config []byte, err error) {
	if data, err = readAll(ctx, op, uri); err != nil {
		return nil, nil, fmt.Errorf("load tokenizer: %w", err)
	}
	config, err = readAll(ctx, op, beside(uri, configFile))
	if errors.Is(err, store.ErrNotFound) {
		config, err = nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("load tokenizer: %w", err)
	}
	return data, config, nil
}

// Digest is the sha256 (hex) that pins a tokenizer: over the length (8 bytes, little endian) and
// the content of tokenizer.json, then the same of tokenizer_config.json. A missing config counts
// as an empty one. The lengths keep bytes from moving between the files unseen.
func Digest(tokenizerJSON, tokenizerConfigJSON []byte) string {
	h := sha256.New()
	for _, data := range [][]byte{tokenizerJSON, tokenizerConfigJSON} {
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(data)))
		h.Write(size[:])
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func readAll(ctx context.Context, op store.Opener, uri string) ([]byte, error) {
	bucket, key, err := op.Open(uri)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", uri, err)
	}
	info, err := bucket.Stat(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", uri, err)
	}
	if info.Size > maxFileBytes {
		return nil, fmt.Errorf("read %s: %d bytes, a tokenizer file has at most %d",
			uri, info.Size, maxFileBytes)
	}
	data := make([]byte, info.Size)
	if len(data) == 0 {
		return data, nil
	}
	if err := bucket.ReadRange(ctx, key, 0, data, info.ETag); err != nil {
		return nil, fmt.Errorf("read %s: %w", uri, err)
	}
	return data, nil
}

// mainURI turns a folder's URI into that of its tokenizer.json.
func mainURI(uri string) string {
	if strings.HasSuffix(uri, ".json") {
		return uri
	}
	return strings.TrimRight(uri, "/") + "/" + tokenizerFile
}

// beside is the URI of another file in the folder of uri.
func beside(uri, name string) string {
	return uri[:strings.LastIndexByte(uri, '/')+1] + name
}

func idOrNone(id int32, ok bool) int32 {
	if !ok {
		return -1
	}
	return id
}
