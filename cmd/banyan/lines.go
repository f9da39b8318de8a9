package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/text/encoding/unicode"

	"github.com/banyan-train/banyan/dataset/tokenize"
)

// maxLine bounds a line of input, and so what is held in memory.
const maxLine = 64 << 20

// lineFunc appends the answer to one line of input, without its newline, to dst.
type lineFunc func(dst, line []byte) ([]byte, error)

// flushFirst writes out what is ready before it waits for input, so that a program on the other
// end of both pipes gets each answer before it asks again.
type flushFirst struct {
	in  io.Reader
	out *bufio.Writer
}

func (f flushFirst) Read(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.in.Read(p)
}

// eachLine answers each line of in with one line of out, in order.
func eachLine(in io.Reader, out io.Writer, answer lineFunc) error {
	w := bufio.NewWriterSize(out, 256<<10)
	lines := bufio.NewScanner(flushFirst{in, w})
	lines.Buffer(make([]byte, 256<<10), maxLine)
	var buf []byte
	n := 1
	for ; lines.Scan(); n++ {
		var err error
		if buf, err = answer(buf[:0], lines.Bytes()); err != nil {
			err = fmt.Errorf("%w: line %d: %w", errInput, n, err)
			return errors.Join(err, w.Flush()) // the lines before stand
		}
		if _, err := w.Write(append(buf, '\n')); err != nil {
			return fmt.Errorf("write the answer to line %d: %w", n, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%w: line %d has over %d bytes; split it", errInput, n, maxLine)
	} else if err != nil {
		return fmt.Errorf("at line %d: %w", n, err)
	}
	return w.Flush()
}

// encodeLine turns {"text": ...} into {"ids": [...]}; other fields are left alone.
func encodeLine(tok tokenize.Tokenizer, bos, eos []int32) lineFunc {
	var ids []int32
	return func(dst, line []byte) ([]byte, error) {
		text, err := textOf(line)
		if err != nil {
			return dst, err
		}
		ids = append(tok.Encode(append(ids[:0], bos...), text), eos...)
		dst = append(dst, `{"ids":[`...)
		for i, id := range ids {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(id), 10)
		}
		return append(dst, "]}"...), nil
	}
}

// decodeLine turns {"ids": [...]} into {"text": ...}. Bytes that are no UTF-8, as where the ids
// end inside a character, become U+FFFD.
func decodeLine(tok tokenize.Tokenizer, bos, eos []int32) lineFunc {
	return func(dst, line []byte) ([]byte, error) {
		ids, err := idsOf(line, tok.VocabSize())
		if err != nil {
			return dst, err
		}
		if bos != nil && len(ids) > 0 && ids[0] == bos[0] {
			ids = ids[1:]
		}
		if eos != nil && len(ids) > 0 && ids[len(ids)-1] == eos[0] {
			ids = ids[:len(ids)-1]
		}
		text, err := unicode.UTF8.NewDecoder().Bytes(tok.Decode(ids))
		if err != nil {
			return dst, err
		}
		out := bytes.NewBuffer(append(dst, `{"text":`...))
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(string(text)); err != nil {
			return dst, err
		}
		return append(bytes.TrimSuffix(out.Bytes(), []byte("\n")), '}'), nil
	}
}
