package frame

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// MaxBytes bounds one message. A resolved run with a large corpus manifest is the biggest.
const MaxBytes = 64 << 20

// Write sends one message in one write call.
func Write(w io.Writer, m proto.Message) error {
	buf, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4), m)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	if len(buf)-4 > MaxBytes {
		return fmt.Errorf("encode frame: %d bytes, at most %d", len(buf)-4, MaxBytes)
	}
	binary.LittleEndian.PutUint32(buf, uint32(len(buf)-4))
	if _, err := w.Write(buf); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// Read receives one message. It returns io.EOF when the stream ended between messages.
func Read(r io.Reader, m proto.Message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > MaxBytes {
		return fmt.Errorf("read frame: %d bytes, at most %d", n, MaxBytes)
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(r, buf); err != nil {
		return fmt.Errorf("read frame of %d bytes: %w", n, io.ErrUnexpectedEOF)
	}
	if err := proto.Unmarshal(buf, m); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	return nil
}
