// Package pieces turns normalized text into the pieces of a vocabulary of characters and of
// strings of characters: by merges in order of rank (Merger), or by the path of the best score
// (Unigram).
//
// It owns: the cut of a text into segments that no piece crosses, the memory of segments seen
// before, the Viterbi search, and what an unknown character becomes; dataset/tokenize/merge merges.
// It never does: normalize, decode, know a file format, or guess; its callers build the tables from
// theirs and check what they promise here.
//
// Text must be valid UTF-8. A caller whose vocabulary writes a space as U+2581 gives both the
// vocabulary and the text with plain spaces instead: one byte and not three.
//
//	text -> characters as symbols -> segments -> one character: its piece
//	                                             known segment: what it was
//	                                             else: merges or search
//
// A segment ends between two characters that no rule of the vocabulary can ever bring into one
// piece: for merges, no rule has a left side that ends in the one and a right side that begins
// with the other; for the search, no piece has them side by side. So each segment may be worked on
// by itself. In vocabularies made of words, the gap before a space is such a place; in Chinese
// text most gaps are.
//
// Scores of the search are added in float32 from the start of the text, and rounding decides what
// is nearly a tie: the peer's ids for a segment depend on the sum before it. A segment is
// remembered with the margin by which its best path wins, and the memory is used only where the
// margin is wider than any rounding could be (Unigram.safe). So it never changes a result.
//
// A Merger and a Unigram never change after they are made; each call needs a Scratch, which one
// goroutine at a time may use and which belongs to one Merger or Unigram.
package pieces
