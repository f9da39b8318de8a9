package tcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"testing"

	"github.com/banyan-train/banyan/collective"
)

// fixSum makes the checksum at the end of b right.
func fixSum(b []byte) {
	n := len(b) - 4
	binary.LittleEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
}

func TestHelloRoundTrip(t *testing.T) {
	for _, m := range []message{
		{kind: kindHello, hello: hello{"r", 1 << 63, 3, 2, 4}},
		{kind: kindWelcome, hello: hello{"运行", 0, 0, 0, 1}},
		{kind: kindRefusal, reason: "no"},
	} {
		b := m.encode()
		r := bytes.NewReader(append(b, 'x'))
		got, err := readMessage(r)
		if err != nil || *got != m || r.Len() != 1 {
			t.Errorf("%+v became %+v, %v, %d bytes left", m, got, err, r.Len())
		}
		for i := range b { // every single corrupt byte is found
			bad := bytes.Clone(b)
			bad[i] ^= 1
			if _, err := readMessage(bytes.NewReader(bad)); err == nil {
				t.Errorf("%+v with byte %d changed is taken", m, i)
			}
		}
	}
}

// TestI13_LyingLengthIsRefused: a hello that is whole but says more of its run id than it has.
func TestI13_LyingLengthIsRefused(t *testing.T) {
	for _, length := range []uint16{0, 200, maxRun + 1, 1 << 15} {
		b := (&message{kind: kindHello, hello: hello{"r", 1, 1, 0, 2}}).encode()
		binary.LittleEndian.PutUint16(b[prefixLen+20:], length)
		fixSum(b)
		if m, err := readMessage(bytes.NewReader(b)); !errors.Is(err, errForeign) {
			t.Errorf("length %d: %+v, %v", length, m, err)
		}
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	h := header{kind: kindAllToAll, sender: 7, group: groupTag("r", 2), seq: 1 << 40,
		total: 1 << 33, length: maxChunk, sums: blockSums{1 << 63, 2, 3, 4, 5, 6, 7, 8}}
	var b [headerLen]byte
	h.encode(&b)
	if got, err := decodeHeader(&b); err != nil || got != h {
		t.Fatalf("%+v became %+v, %v", h, got, err)
	}
	for i := range b {
		bad := b
		bad[i] ^= 0x80
		if _, err := decodeHeader(&bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: error %v", i, err)
		}
	}
	for _, bad := range []header{
		{kind: kindNone}, {kind: kindEnd}, {kind: kindBytes, length: maxChunk + 1, total: 1 << 30},
		{kind: kindBytes, length: 2, total: 1}, {kind: kindBytes, total: 1},
	} {
		bad.encode(&b)
		if _, err := decodeHeader(&b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
	if groupTag("r", 2) == groupTag("r", 3) || groupTag("r", 2) == groupTag("s", 2) {
		t.Error("groups share a tag")
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add((&message{kind: kindHello, hello: hello{"run", 1, 0, 1, 2}}).encode())
	f.Add((&message{kind: kindRefusal, reason: "no"}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4 {
			fixSum(b) // so that the fuzzer gets past the checksum
		}
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		if m.kind == kindRefusal {
			return
		}
		again, err := readMessage(bytes.NewReader(m.encode()))
		if err != nil || *again != *m {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

// FuzzReceive lets a peer send anything to a group with operations posted. The group must neither
// panic nor hang, and must touch no byte outside of its buffers.
func FuzzReceive(f *testing.F) {
	frame := func(h header, payload string) []byte {
		h.sender, h.group, h.length = 1, groupTag("r", 1), uint32(len(payload))
		h.sums = sumsOf([]byte(payload))
		var b [headerLen]byte
		h.encode(&b)
		return append(b[:], payload...)
	}
	f.Add(frame(header{kind: kindAllToAll, seq: 1, total: 8}, "12345678"))
	f.Add(append(frame(header{kind: kindAllToAll, seq: 1, total: 8}, "1234"),
		frame(header{kind: kindAllToAll, seq: 1, total: 8}, "56789")...))
	f.Add(frame(header{kind: kindAbort, total: 3}, "why"))
	f.Add(frame(header{kind: kindLeave}, ""))
	f.Add(frame(header{kind: kindBytes, seq: 2, total: 1 << 60}, "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerLen {
			fixSum(b[:headerLen])
		}
		ln, err := Listen("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		mine, theirs := net.Pipe()
		self := hello{run: "r", generation: 1, world: 2}
		g := newGroup(&mesh{self: self, conns: []net.Conn{nil, mine}}, ln)
		guard := []float32{1, 0, 0, 2}
		h := g.AllToAll([][]float32{nil, guard[1:3]}, [][]float32{nil, nil})
		go func() { _, _ = theirs.Write(b); _ = theirs.Close() }()
		_ = h.Wait(t.Context())
		_, _ = g.AllGatherBytes(t.Context(), nil)
		if err := g.Barrier(t.Context()); !errors.Is(err, collective.ErrAborted) {
			t.Fatalf("barrier with nobody: %v", err)
		}
		_ = g.Close()
		if guard[0] != 1 || guard[3] != 2 {
			t.Fatal("wrote outside of the buffer")
		}
	})
}
