// Package merge is byte-pair merging: of all neighbours that merge, the pair of the lowest rank
// does first, the leftmost of equals, until none merges.
//
// It owns: the table of what merges, and the two ways to the same result. Short stretches rescan a
// small array (Table.Short), which beats any structure up to some hundred symbols; long ones use a
// heap (Table.Long), so that one of 16 MiB costs n log n and not n^2. It never sees text: symbols
// are numbers, whatever stands for them (bytes in dataset/tokenize, characters in
// dataset/tokenize/pieces).
//
//	t := merge.NewTable(len(rules))
//	t.Put(left, right, rank, whole)
//	n, last := t.Short(symbols, &ranks)
//	t.Long(&list, nil); for symbol, start := range list.All() { ... }
package merge
