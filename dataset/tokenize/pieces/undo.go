package pieces

import "unicode/utf8"

// appendTracked encodes a text of a vocabulary with Undo symbols: in one go, because what such a
// symbol is taken apart into may have been seen anywhere in the text.
func (m *Merger) appendTracked(dst []int32, text []byte, sc *Scratch) []int32 {
	base := len(dst)
	if sc.undo == nil {
		sc.undo = map[int32][2]int32{}
	}
	clear(sc.undo)
	frozen := map[int]int32{} // by start
	sc.list.Reset()
	for i := 0; i < len(text); {
		f, size := m.frozenAt(text, i)
		symbol := int32(strange)
		if f != nil {
			frozen[i] = f.ID
		} else {
			symbol, _ = m.chars.at(text, i)
		}
		sc.list.Add(symbol, i)
		i += size
	}
	m.pairs.Long(&sc.list, func(left, right, whole int32) {
		if m.texts[whole].Undo {
			sc.undo[whole] = [2]int32{left, right}
		}
	})
	for symbol, start := range sc.list.All() {
		if symbol >= 0 {
			dst = m.takeApart(dst, base, symbol, sc.undo, 0)
			continue
		}
		if id, ok := frozen[start]; ok {
			dst = append(dst, id)
			continue
		}
		_, size := utf8.DecodeRune(text[start:])
		dst = m.fallback.append(dst, base, text[start:start+size])
	}
	return dst
}

// mostApart bounds how often a symbol is taken apart, as in the peer.
const mostApart = 100

func (m *Merger) takeApart(dst []int32, base int, symbol int32, undo map[int32][2]int32, depth int,
) []int32 {
	s := &m.texts[symbol]
	if !s.Undo || depth > mostApart {
		return m.emit(dst, base, symbol)
	}
	halves, ok := undo[symbol]
	if !ok {
		return m.fallback.append(dst, base, []byte(s.Text))
	}
	dst = m.takeApart(dst, base, halves[0], undo, depth+1)
	return m.takeApart(dst, base, halves[1], undo, depth+1)
}
