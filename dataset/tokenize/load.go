package tokenize

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

const (
	tokenizerFile = "tokenizer.json"
	configFile    = "tokenizer_config.json"
	specialsFile  = "special_tokens_map.json"
	vocabFile     = "vocab.json"
	mergesFile    = "merges.txt"
	addedFile     = "added_tokens.json"
	modelFile     = "tokenizer.model"

	// maxFileBytes bounds what is read into memory; the largest public tokenizer.json is 33 MB.
	maxFileBytes = 256 << 20
)

// layout is one way in which a tokenizer lies in a folder.
type layout struct {
	main   string   // the file that a folder of this layout has
	beside []string // what else decides ids; a missing file counts as empty
	copied []string // what an export takes along too
	// parse gets the contents of main and beside, in order.
	parse func(files [][]byte) (Tokenizer, error)
}

// layouts in the order in which a folder is tried: tokenizer.json says most.
var layouts = []layout{
	{
		main:   tokenizerFile,
		beside: []string{configFile},
		copied: []string{specialsFile},
		parse:  func(f [][]byte) (Tokenizer, error) { return Parse(f[0], f[1]) },
	},
	{
		main:   vocabFile,
		beside: []string{mergesFile, configFile, addedFile, specialsFile},
		parse:  func(f [][]byte) (Tokenizer, error) { return parseVocab(f[0], f[1], f[2], f[3], f[4]) },
	},
	{
		main:   modelFile,
		beside: []string{addedFile},
		copied: []string{configFile, specialsFile},
		parse:  func(f [][]byte) (Tokenizer, error) { return parseModel(f[0], f[1]) },
	},
}

// Load reads the tokenizer at uri, a folder or the main file of one, and pins its content. What a
// layout reads besides its main file may be missing: without a tokenizer_config.json, a
// tokenizer.json names neither BOS nor EOS.
func Load(ctx context.Context, op store.Opener, uri string) (Tokenizer, *pb.TokenizerPin, error) {
	main, l, data, err := find(ctx, op, uri)
	if err != nil {
		return nil, nil, err
	}
	files, err := readBeside(ctx, op, main, l, data)
	if err != nil {
		return nil, nil, err
	}
	tok, err := l.parse(files)
	if err != nil {
		return nil, nil, fmt.Errorf("load tokenizer %s: %w", main, err)
	}
	pin := &pb.TokenizerPin{
		Uri:       main,
		Sha256:    digest(files...),
		VocabSize: uint32(tok.VocabSize()),
		EosId:     idOrNone(tok.EOS()),
		BosId:     idOrNone(tok.BOS()),
	}
	return tok, pin, nil
}

// LoadPinned reads the tokenizer a pin names. It fails with store.ErrChanged if a file that decides
// ids is not byte for byte what was pinned.
func LoadPinned(ctx context.Context, op store.Opener, pin *pb.TokenizerPin) (Tokenizer, error) {
	if pin.GetBase() != nil {
		t, sum, err := loadGrown(ctx, op, pin)
		if err == nil && sum != pin.GetSha256() {
			err = fmt.Errorf("load tokenizer %s, grown from %s: its sha256 is %s, pinned was %s: %w; "+
				"restore the files, or launch a new run", pin.GetUri(), pin.GetBase().GetUri(), sum,
				pin.GetSha256(), store.ErrChanged)
		}
		return t, err
	}
	main, l, data, err := find(ctx, op, pin.GetUri())
	if err != nil {
		return nil, err
	}
	files, err := readBeside(ctx, op, main, l, data)
	if err != nil {
		return nil, err
	}
	if sum := digest(files...); sum != pin.GetSha256() { // first: a changed file may be no JSON
		return nil, fmt.Errorf(
			"load tokenizer %s: its sha256 with %s is %s, pinned was %s: %w; restore the files, or "+
				"launch a new run", main, strings.Join(l.beside, ", "), sum, pin.GetSha256(),
			store.ErrChanged)
	}
	tok, err := l.parse(files)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", main, err)
	}
	return tok, nil
}

// Files returns the tokenizer's files by name, to copy into an export: all that Load reads, and
// special_tokens_map.json, where they exist.
func Files(ctx context.Context, op store.Opener, uri string) (map[string][]byte, error) {
	main, l, data, err := find(ctx, op, uri)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{l.main: data}
	for _, name := range slices.Concat(l.beside, l.copied) {
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

// find returns the main file of the tokenizer at uri, its layout and its content.
func find(ctx context.Context, op store.Opener, uri string) (string, layout, []byte, error) {
	if ext := path.Ext(uri); slices.ContainsFunc(layouts, func(l layout) bool {
		return path.Ext(l.main) == ext
	}) {
		data, err := readAll(ctx, op, uri)
		if err != nil {
			return "", layout{}, nil, fmt.Errorf("load tokenizer: %w", err)
		}
		return uri, layoutOf(uri), data, nil
	}
	for _, l := range layouts {
		main := strings.TrimRight(uri, "/") + "/" + l.main
		data, err := readAll(ctx, op, main)
		if err == nil {
			return main, l, data, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return "", layout{}, nil, fmt.Errorf("load tokenizer: %w", err)
		}
	}
	return "", layout{}, nil, fmt.Errorf("load tokenizer: %s has no %s, %s or %s: %w; name the "+
		"tokenizer's folder or file", uri, tokenizerFile, vocabFile, modelFile, store.ErrNotFound)
}

// layoutOf is the layout that a file is the main file of: by its name, or else the first of its
// kind, as tokenizers are kept under other names too.
func layoutOf(uri string) layout {
	i := slices.IndexFunc(layouts, func(l layout) bool { return l.main == path.Base(uri) })
	if i < 0 {
		i = slices.IndexFunc(layouts, func(l layout) bool { return path.Ext(l.main) == path.Ext(uri) })
	}
	return layouts[i]
}

// readBeside returns the files of a layout whose main file is read: nil for one that is not there.
func readBeside(ctx context.Context, op store.Opener, main string, l layout, data []byte,
) ([][]byte, error) {
	files := [][]byte{data}
	for _, name := range l.beside {
		data, err := readAll(ctx, op, beside(main, name))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("load tokenizer: %w", err)
		}
		files = append(files, data)
	}
	return files, nil
}

// digest is the sha256 (hex) that pins a tokenizer: over the length (8 bytes, little endian) and
// the content of each file that decides ids, in the order of its layout. A missing file counts as
// an empty one. The lengths keep bytes from moving between the files unseen.
func digest(files ...[]byte) string {
	h := sha256.New()
	for _, data := range files {
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
