// Command corpora writes the texts in examples/corpora and examples/held-out: original English and
// Chinese documents from the templates in grammar/, as JSONL with the fields text, lang and id.
//
// It owns: the grammar, the facts a document keeps consistent (names, pronouns, sums, heights,
// years) and the size of each file. It never does: read a clock, or any text that is not in
// grammar/. The same program writes the same bytes: its random numbers are its own (splitmix64),
// seeded by the file's name.
//
//	go run ./internal/gen/corpora -out examples
//
// A test writes every file again and compares it with the committed one.
package main
