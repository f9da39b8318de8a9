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
	Byte   int64  // where the trouble is: the byte as above, in parquet that of the row's text
	What   string
	Fix    string
	row    bool // of parquet
	passes bool // a reader may go on behind it
}

func (e *RecordError) Error() string {
	at := fmt.Sprintf(" (byte %d)", e.Byte)
	switch {
	case e.row && e.Byte == 0: // the row as a whole
		at = ""
	case e.row:
		at += " of its text"
	}
	return fmt.Sprintf("read source %q: %s: %s: %s%s: %s", e.Source, e.URI, e.Place, e.What, at, e.Fix)
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
