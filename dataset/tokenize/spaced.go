package tokenize

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"

	search "github.com/banyan-train/banyan/dataset/tokenize/pieces"
)

var (
	_ Tokenizer = (*spaced)(nil)
	_ pieces    = (*spaced)(nil)
)

// metaspace is what such files write for a space.
const metaspace = "\u2581"

// When the mark of a space is put before a text.
type prepend int

const (
	prependNever  prepend = iota
	prependAlways         // before every stretch between added tokens, one that begins with it too
	prependUnless         // before every stretch that does not begin with it
	prependFirst          // the same, where the text itself begins
)

// spaced is BPE over characters as tokenizers write that were SentencePiece models: a space is
// U+2581, and bytes stand for characters that are no token. Inside, that mark is a plain space.
type spaced struct {
	tokenTable
	merger  *search.Merger
	prefix  prepend
	strip   bool     // Decode leaves out a space at the start
	pieceOf []string // by id, as the file writes it
	isByte  []bool   // by id

	mu   sync.Mutex
	free []*spacedScratch // guarded by mu
}

type spacedScratch struct {
	pieces *search.Scratch
	text   []byte
}

func (s *spaced) take() *spacedScratch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		sc := s.free[n-1]
		s.free = s.free[:n-1]
		return sc
	}
	return &spacedScratch{pieces: search.NewScratch()}
}

// keepText is the largest buffer of text that outlives the text that needed it.
const keepText = 1 << 18

func (s *spaced) give(sc *spacedScratch) {
	if cap(sc.text) > keepText {
		sc.text = nil
	}
	s.mu.Lock()
	s.free = append(s.free, sc)
	s.mu.Unlock()
}

// Encode implements Tokenizer.
func (s *spaced) Encode(dst []int32, text string) []int32 {
	if !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
	sc := s.take()
	defer s.give(sc)
	first := true // nothing of the text came before
	token := func(id int32) { dst, first = append(dst, id), false }
	s.raw.split(text, func(stretch string) {
		s.normalized.split(stretch, func(plain string) {
			dst = s.encodePlain(dst, plain, first, sc)
			first = false
		}, token)
	}, token)
	return dst
}

// encodePlain encodes text that holds no added token.
func (s *spaced) encodePlain(dst []int32, text string, first bool, sc *spacedScratch) []int32 {
	begins := text[0] == ' ' || strings.HasPrefix(text, metaspace)
	sc.text = sc.text[:0]
	if s.prefix == prependAlways || s.prefix == prependUnless && !begins ||
		s.prefix == prependFirst && !begins && first {
		sc.text = append(sc.text, ' ')
	}
	if strings.Contains(text, metaspace) {
		text = strings.ReplaceAll(text, metaspace, " ")
	}
	sc.text = append(sc.text, text...)
	return s.merger.Append(dst, sc.text, sc.pieces)
}

// EncodePiece implements pieces.
func (s *spaced) EncodePiece(dst []int32, piece string) []int32 {
	if piece == "" || !utf8.ValidString(piece) {
		return dst
	}
	sc := s.take()
	defer s.give(sc)
	return s.merger.Append(dst, []byte(strings.ReplaceAll(piece, metaspace, " ")), sc.pieces)
}

// Piece implements pieces.
func (s *spaced) Piece(id int32) string {
	if !s.known(id) {
		return ""
	}
	return s.pieceOf[id]
}

// Decode implements Tokenizer, as the peer's decoder does: a row of byte tokens that is not UTF-8
// as a whole becomes one U+FFFD for each.
func (s *spaced) Decode(ids []int32) []byte {
	var out, row []byte
	flush := func() {
		if utf8.Valid(row) {
			out = append(out, row...)
		} else {
			out = append(out, strings.Repeat("\uFFFD", len(row))...)
		}
		row = row[:0]
	}
	for _, id := range ids {
		switch {
		case !s.known(id):
		case s.isByte[id]:
			row = append(row, s.text[id]...)
		default:
			flush()
			out = append(out, s.text[id]...)
		}
	}
	flush()
	if s.strip {
		out = bytes.TrimPrefix(out, []byte(" "))
	}
	return out
}

// TokenBytes implements Tokenizer.
func (s *spaced) TokenBytes(id int32) int {
	if !s.known(id) || s.special[id] {
		return 0
	}
	return len(s.text[id])
}

// StartBytes implements Tokenizer. Some forms leave out the space where a text begins with one.
func (s *spaced) StartBytes() int {
	if s.prefix == prependNever {
		return 0
	}
	return 1
}
