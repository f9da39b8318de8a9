package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/banyan-train/banyan/dataset/mix"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// cursorVersion is the version of the JSON form.
const cursorVersion = 1

// Position is where the next sequence of one slot and source starts. JSON: [block,offset,token],
// and a fourth number for what best_fit has taken from there on.
type Position struct {
	Block  uint64 // block number n; n mod B is the slot
	Offset int64  // bytes from the start of the block to the record
	Token  int    // token of the record, BOS and EOS counted
	Taken  uint64 // bit i: piece i from here on is in a sequence already (pack.BestFit)
}

// MarshalJSON writes a short form: there is one for every slot and source.
func (p Position) MarshalJSON() ([]byte, error) {
	if p.Taken != 0 {
		return fmt.Appendf(nil, "[%d,%d,%d,%d]", p.Block, p.Offset, p.Token, p.Taken), nil
	}
	return fmt.Appendf(nil, "[%d,%d,%d]", p.Block, p.Offset, p.Token), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Position) UnmarshalJSON(raw []byte) error {
	var parts []json.Number
	if err := json.Unmarshal(raw, &parts); err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	if len(parts) != 3 && len(parts) != 4 {
		return fmt.Errorf("read position: %d numbers, want 3 or 4", len(parts))
	}
	taken := uint64(0)
	if len(parts) == 4 {
		var err error
		if taken, err = strconv.ParseUint(parts[3].String(), 10, 64); err != nil {
			return fmt.Errorf("read position: %q is not a set of pieces", parts[3])
		}
	}
	var at [3]int64
	for i, part := range parts[:3] {
		n, err := part.Int64()
		if err != nil || n < 0 {
			return fmt.Errorf("read position: %q is not a count", part)
		}
		at[i] = n
	}
	*p = Position{Block: uint64(at[0]), Offset: at[1], Token: int(at[2]), Taken: taken}
	return nil
}

// Cursor is the state of the stream of the slots [Lo, Lo+len(Slots)) at the end of a step. Its
// JSON form goes into checkpoints. It is immutable once made.
type Cursor struct {
	Version int `json:"version"`
	// Stream identifies the series of sequences: hex sha256 over corpus contents, seed, seq_len
	// and B. A cursor of another stream is refused.
	Stream string `json:"stream"`
	// Mixer is the same in the cursors of all ranks. Its Step is the number of steps made.
	Mixer mix.State    `json:"mixer"`
	Lo    Slot         `json:"lo"`
	Slots [][]Position `json:"slots"` // by slot from Lo, then by source
}

// Step is the step at whose end the cursor stands; 0 before the first.
func (c *Cursor) Step() uint64 { return c.Mixer.Step }

// Owed is what the plan owes each source, in sequences; negative where one has had more (I10).
func (c *Cursor) Owed() []float64 {
	owed := make([]float64, len(c.Mixer.Global))
	for i, d := range c.Mixer.Global {
		owed[i] = float64(d) / mix.One
	}
	return owed
}

// Hi is the slot behind the last one that the cursor covers.
func (c *Cursor) Hi() Slot { return c.Lo + Slot(len(c.Slots)) }

// Validate checks that the cursor is whole in itself. It cannot tell whether its places exist;
// Open and the first reads do.
func (c *Cursor) Validate() error {
	if c == nil {
		return errors.New("check cursor: there is none")
	}
	if c.Version != cursorVersion {
		return fmt.Errorf("check cursor: version %d, this program reads %d", c.Version, cursorVersion)
	}
	sources := len(c.Mixer.Global)
	if sources == 0 || len(c.Mixer.Slots)%sources != 0 {
		return fmt.Errorf("check cursor: %d slot deficits of %d sources", len(c.Mixer.Slots), sources)
	}
	batch := len(c.Mixer.Slots) / sources
	if err := c.Mixer.Validate(sources, batch); err != nil {
		return fmt.Errorf("check cursor: %w", err)
	}
	if c.Lo < 0 || int(c.Lo) > batch || len(c.Slots) > batch-int(c.Lo) {
		return fmt.Errorf("check cursor: slots [%d,%d) of %d", c.Lo, c.Hi(), batch)
	}
	for i, lanes := range c.Slots {
		slot := int(c.Lo) + i
		if len(lanes) != sources {
			return fmt.Errorf("check cursor: slot %d has %d positions for %d sources",
				slot, len(lanes), sources)
		}
		for s, p := range lanes {
			if p.Block > math.MaxInt64 || p.Block%uint64(batch) != uint64(slot) ||
				p.Offset < 0 || p.Token < 0 || int64(p.Token) > math.MaxInt32 {
				return fmt.Errorf("check cursor: slot %d, source %d: position %v is impossible",
					slot, s, p)
			}
		}
	}
	return nil
}

// MergeCursors joins the cursors of ranks at one step into one that covers the slots of all. They
// must be of one stream and step, and leave no gap between them. Ranks without slots are welcome.
func MergeCursors(cursors []*Cursor) (*Cursor, error) {
	if len(cursors) == 0 {
		return nil, errors.New("merge cursors: there are none")
	}
	for i, c := range cursors {
		if err := c.Validate(); err != nil {
			return nil, fmt.Errorf("merge cursors: rank %d: %w", i, err)
		}
		if c.Stream != cursors[0].Stream || !c.Mixer.Equal(cursors[0].Mixer) {
			return nil, fmt.Errorf("merge cursors: rank %d is at step %d of stream %.12s, rank 0 at "+
				"step %d of stream %.12s", i, c.Step(), c.Stream, cursors[0].Step(), cursors[0].Stream)
		}
	}
	parts := slices.DeleteFunc(slices.Clone(cursors), func(c *Cursor) bool {
		return len(c.Slots) == 0
	})
	if len(parts) == 0 {
		return cursors[0], nil
	}
	slices.SortFunc(parts, func(a, b *Cursor) int { return int(a.Lo - b.Lo) })
	merged := *parts[0]
	merged.Mixer = merged.Mixer.Clone()
	merged.Slots = slices.Clone(merged.Slots)
	for _, c := range parts[1:] {
		if c.Lo != merged.Hi() {
			return nil, fmt.Errorf("merge cursors: slots [%d,%d) are followed by [%d,%d)",
				merged.Lo, merged.Hi(), c.Lo, c.Hi())
		}
		merged.Slots = append(merged.Slots, c.Slots...)
	}
	return &merged, nil
}

// streamID identifies the series of sequences that a configuration makes. Weights are left out (a
// run's weights may be edited, and what is owed stays owed), doc_mask too (it hides tokens, but
// moves none), and URIs (contents may move).
func streamID(c *Config) string {
	h := sha256.New()
	number := func(values ...uint64) {
		var b [8]byte
		for _, v := range values {
			binary.LittleEndian.PutUint64(b[:], v)
			h.Write(b[:])
		}
	}
	text := func(s string) {
		number(uint64(len(s)))
		h.Write([]byte(s))
	}
	text("banyan stream v1")
	number(c.Seed, uint64(c.SeqLen), uint64(c.GlobalBatch), uint64(c.Tokenizer.VocabSize()))
	if c.BOS {
		number(1)
	}
	if c.Packing == pb.Packing_BEST_FIT {
		text("best_fit")
	}
	for _, m := range c.Corpus.GetSources() {
		text(m.GetName())
		text(m.GetTextField())
		number(m.GetBlockBytes(), uint64(len(m.GetFiles())))
		for _, f := range m.GetFiles() {
			number(f.GetSize())
			text(f.GetEtag())
		}
		for _, how := range howRead(m) { // nothing for plain JSON lines
			text(how)
		}
		if m.GetStaged() {
			text("staged")
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// howRead says what else than its bytes the texts of a source, and their order, depend on.
func howRead(m *pb.SourceManifest) []string {
	var how []string
	if m.GetDocument() != 0 || m.GetInvalidUtf8() != 0 || len(m.GetNormalize()) > 0 {
		how = append(how, fmt.Sprintf("%v %v %q", m.GetDocument(), m.GetInvalidUtf8(),
			m.GetNormalize()))
	}
	for i, f := range m.GetFiles() {
		if f.GetFormat() != 0 || f.GetCompression() != 0 || len(f.GetBlockSizes()) > 0 {
			how = append(how, fmt.Sprintf("%d %v %v %d", i, f.GetFormat(), f.GetCompression(),
				f.GetBlockSizes()))
		}
	}
	return how
}
