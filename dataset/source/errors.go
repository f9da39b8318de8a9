package source

import (
	"errors"
	"fmt"
)

// ErrInvalid marks an error in the user's data: the message names the file, the byte and the fix.
var ErrInvalid = errors.New("invalid corpus")

// RecordError is a record that cannot be used. It is an ErrInvalid.
type RecordError struct {
	Source string // name
	URI    string // of the file
	Place  string // of the record, in words
	Record int64  // where the record starts: the byte, or the row of a parquet file
	Byte   int64  // where the trouble is, counted alike
	What   string
	Fix    string
	passes bool // a reader may go on behind it
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("read source %q: %s: %s: %s (byte %d): %s", e.Source, e.URI, e.Place,
		e.What, e.Byte, e.Fix)
}

// Is makes errors.Is(err, ErrInvalid) hold.
func (e *RecordError) Is(target error) bool { return target == ErrInvalid }

// ErrExhausted marks a source of which a slot wants more epochs than max_epochs allows.
var ErrExhausted = errors.New("source exhausted")

// problem is trouble inside one record, by the byte offset in it.
type problem struct {
	at        int
	what, fix string
	passes    bool // what follows the record can be read
	long      bool // the record is too long
}

func (p *problem) Error() string { return fmt.Sprintf("%s (byte %d): %s", p.what, p.at, p.fix) }
