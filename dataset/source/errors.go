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
	Record int64  // byte offset in the file at which the record starts
	Byte   int64  // byte offset in the file of the trouble
	What   string
	Fix    string
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("read source %q: %s: record at byte %d: %s (byte %d): %s",
		e.Source, e.URI, e.Record, e.What, e.Byte, e.Fix)
}

// Is makes errors.Is(err, ErrInvalid) hold.
func (e *RecordError) Is(target error) bool { return target == ErrInvalid }

// ErrExhausted marks a source of which a slot wants more epochs than max_epochs allows.
var ErrExhausted = errors.New("source exhausted")

// problem is trouble inside one record, by the byte offset in it.
type problem struct {
	at        int
	what, fix string
}

func (p *problem) Error() string { return fmt.Sprintf("%s (byte %d): %s", p.what, p.at, p.fix) }
