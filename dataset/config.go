package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/banyan-train/banyan/dataset/mix"
	"github.com/banyan-train/banyan/dataset/tokenize"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// Slot is a position in the global batch, 0..B-1.
type Slot int

// Config says what a Stream delivers. All but Lo and Hi is the same on every rank.
type Config struct {
	Corpus      *pb.Corpus
	SeqLen      int        // inputs a sequence
	GlobalBatch int        // B, sequences a step
	BOS         bool       // put BOS before each document
	DocMask     bool       // hide other documents (pack)
	Packing     pb.Packing // unspecified: concat
	MaxRecord   int64      // bytes of the longest record; 0: source.DefaultMaxRecord
	Seed        uint64
	Tokenizer   tokenize.Tokenizer
	Stores      store.Opener
	Lo, Hi      Slot // slots [Lo,Hi) of this stream; none if equal

	// encoders has room for those that tokenize at once; nil: any number. A tokenizer keeps caches
	// of megabytes for each.
	encoders chan struct{}
	// Stage is the URI of the folder that holds staged sources, and TokenizerID names what their
	// tokens are made with. Both are needed only where the corpus has staged ones.
	Stage, TokenizerID string
}

// ConfigOf is the stream of a resolved run, but for the slots.
func ConfigOf(r *pb.ResolvedRun, tok tokenize.Tokenizer, stores store.Opener) Config {
	data, train := r.GetSpec().GetData(), r.GetSpec().GetTrain()
	return Config{
		Corpus: r.GetCorpus(), SeqLen: int(data.GetSeqLen()),
		GlobalBatch: int(train.GetGlobalBatch()), BOS: data.GetBos(), DocMask: data.GetDocMask(),
		Packing: data.GetPacking(), MaxRecord: int64(data.GetMaxRecord()), Seed: train.GetSeed(),
		Tokenizer: tok, Stores: stores,
		Stage:       strings.TrimRight(r.GetSpec().GetCheckpoint().GetTo(), "/") + "/staged",
		TokenizerID: tokenizerID(r.GetTokenizer()),
	}
}

// tokenizerID names all that ids depend on.
func tokenizerID(pin *pb.TokenizerPin) string {
	if pin == nil {
		return ""
	}
	return fmt.Sprintf("%s %d %d (%s)", pin.GetSha256(), pin.GetEosId(), pin.GetBosId(),
		tokenizerID(pin.GetBase()))
}

// Validate checks what does not need the store.
func (c *Config) Validate() error {
	switch {
	case c.Corpus == nil || len(c.Corpus.GetSources()) == 0:
		return errors.New("the corpus has no sources")
	case c.Tokenizer == nil:
		return errors.New("no tokenizer")
	case c.Stores == nil:
		return errors.New("no stores")
	case c.SeqLen < 1 || c.SeqLen > maxSeqLen:
		return fmt.Errorf("seq_len is %d, want 1..%d", c.SeqLen, maxSeqLen)
	case c.GlobalBatch < 1 || c.GlobalBatch > mix.MaxSlots:
		return fmt.Errorf("global_batch is %d, want 1..%d", c.GlobalBatch, mix.MaxSlots)
	case c.Stage == "" && slices.ContainsFunc(c.Corpus.GetSources(), (*pb.SourceManifest).GetStaged):
		return errors.New("no folder for staged sources")
	case c.Lo < 0 || c.Hi < c.Lo || int(c.Hi) > c.GlobalBatch:
		return fmt.Errorf("slots [%d,%d) are not within global_batch %d", c.Lo, c.Hi, c.GlobalBatch)
	}
	if c.Packing == pb.Packing_BEST_FIT && !c.DocMask {
		return errors.New("data.packing is best_fit, which packs documents that have nothing to do " +
			"with one another: write data.doc_mask: true, or data.packing: concat")
	}
	if _, ok := c.Tokenizer.EOS(); !ok {
		return errors.New("the tokenizer names no EOS token, so documents cannot be told apart: " +
			"set eos_token in tokenizer_config.json")
	}
	if _, ok := c.Tokenizer.BOS(); c.BOS && !ok {
		return errors.New("data.bos is true, but the tokenizer names no BOS token: " +
			"set data.bos: false")
	}
	return nil
}

// maxSeqLen bounds the memory of one sequence.
const maxSeqLen = 1 << 24

// tokens appends a document as it is trained on: BOS where it is asked for, its text, EOS.
func (c *Config) tokens(dst []int32, text string) []int32 {
	if bos, ok := c.Tokenizer.BOS(); c.BOS && ok {
		dst = append(dst, bos)
	}
	if c.encoders != nil {
		c.encoders <- struct{}{}
	}
	dst = c.Tokenizer.Encode(dst, text)
	if c.encoders != nil {
		<-c.encoders
	}
	if eos, ok := c.Tokenizer.EOS(); ok {
		dst = append(dst, eos)
	}
	return dst
}
