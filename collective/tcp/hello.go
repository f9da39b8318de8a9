package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/banyan-train/banyan/collective"
)

// A handshake message is a fixed prefix, a body and a checksum. The prefix stays the same in every
// protocol version, so that two versions can tell each other why they part.
//
//	magic 8 | version u16 | kind u16 | body length u32 | body | CRC-32C of all before, u32
//
// Hellos and welcomes are padded with zeros to a multiple of a frame's header, so that frames
// begin there in the memory that ranks of one host share.
const (
	magic         = "BANYANcg"
	version       = 4
	prefixLen     = 16
	maxHelloBody  = 2048
	maxReason     = 1024
	kindHello     = 1
	kindWelcome   = 2
	kindRefusal   = 3
	helloFixedLen = 8 + 4 + 4 + 4 + 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errForeign is in the chain of every error about bytes that are not a handshake of ours.
var errForeign = errors.New("not a banyan collective handshake")

// hello says who the sender is and which group it believes to join.
type hello struct {
	run        string
	generation uint64
	rank       collective.Rank // of the sender
	target     collective.Rank // whom the sender means to talk to
	world      int
}

// message is one decoded handshake message: a hello or welcome, or a refusal with its reason.
type message struct {
	kind   uint16
	hello  hello
	reason string
}

func (m *message) encode() []byte {
	b := make([]byte, prefixLen, prefixLen+helloFixedLen+len(m.hello.run)+len(m.reason)+4)
	copy(b, magic)
	le := binary.LittleEndian
	le.PutUint16(b[8:], version)
	le.PutUint16(b[10:], m.kind)
	if m.kind == kindRefusal {
		b = append(b, m.reason[:min(len(m.reason), maxReason)]...)
	} else {
		b = le.AppendUint64(b, m.hello.generation)
		b = le.AppendUint32(b, uint32(m.hello.rank))
		b = le.AppendUint32(b, uint32(m.hello.target))
		b = le.AppendUint32(b, uint32(m.hello.world))
		b = le.AppendUint16(b, uint16(len(m.hello.run)))
		b = append(b, m.hello.run...)
		b = append(b, make([]byte, -(len(b)+4)&(headerLen-1))...)
	}
	le.PutUint32(b[12:], uint32(len(b)-prefixLen))
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readMessage reads one handshake message. It reads no byte beyond it, allocates at most
// maxHelloBody, and stops at the prefix if that is foreign.
func readMessage(r io.Reader) (*message, error) {
	var prefix [prefixLen]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, fmt.Errorf("read handshake: %w", err)
	}
	le := binary.LittleEndian
	if string(prefix[:8]) != magic {
		return nil, fmt.Errorf("read handshake: %w: it begins with %q", errForeign, prefix[:8])
	}
	length := le.Uint32(prefix[12:])
	if length > maxHelloBody {
		return nil, fmt.Errorf("read handshake: %w: %d bytes, at most %d",
			errForeign, length, maxHelloBody)
	}
	buf := make([]byte, prefixLen+int(length)+4)
	copy(buf, prefix[:])
	if _, err := io.ReadFull(r, buf[prefixLen:]); err != nil {
		return nil, fmt.Errorf("read handshake: %w", err)
	}
	body := buf[prefixLen : prefixLen+length]
	sum := crc32.Checksum(buf[:prefixLen+length], castagnoli)
	if want := le.Uint32(buf[prefixLen+length:]); sum != want {
		return nil, fmt.Errorf("read handshake: %w: checksum %08x, the sender's is %08x",
			errForeign, sum, want)
	}
	m := &message{kind: le.Uint16(prefix[10:])}
	// A refusal is text and means the same in every version.
	if m.kind == kindRefusal {
		m.reason = printable(body)
		return m, nil
	}
	if v := le.Uint16(prefix[8:]); v != version {
		return nil, fmt.Errorf("read handshake: peer speaks protocol version %d, this is %d",
			v, version)
	}
	return m, m.decode(body)
}

func (m *message) decode(body []byte) error {
	if m.kind != kindHello && m.kind != kindWelcome {
		return fmt.Errorf("read handshake: %w: message kind %d", errForeign, m.kind)
	}
	if len(body) < helloFixedLen {
		return fmt.Errorf("read handshake: %w: body of %d bytes", errForeign, len(body))
	}
	le := binary.LittleEndian
	rank, target, world := le.Uint32(body[8:]), le.Uint32(body[12:]), le.Uint32(body[16:])
	run, length := body[helloFixedLen:], int(le.Uint16(body[20:]))
	switch {
	case world < 1 || world > maxWorld || rank >= world || target >= world:
		return fmt.Errorf("read handshake: %w: rank %d to rank %d of %d",
			errForeign, rank, target, world)
	case length == 0 || length > min(maxRun, len(run)):
		return fmt.Errorf("read handshake: %w: run id of %d bytes", errForeign, length)
	}
	m.hello = hello{
		run: string(run[:length]), generation: le.Uint64(body),
		rank: collective.Rank(rank), target: collective.Rank(target), world: int(world),
	}
	return nil
}

// mismatch says why a peer with hello got may not join where want is expected, "" if it may.
// Ranks are compared by the caller: only it knows whom it waits for.
func mismatch(want, got hello) string {
	switch {
	case got.run != want.run:
		return fmt.Sprintf("this is run %q, the caller is of run %q", want.run, got.run)
	case got.generation < want.generation:
		return fmt.Sprintf("stale generation: this is generation %d, the caller is of %d",
			want.generation, got.generation)
	case got.generation > want.generation:
		return fmt.Sprintf("this is generation %d, the caller is of the newer %d",
			want.generation, got.generation)
	case got.world != want.world:
		return fmt.Sprintf("this world has %d ranks, the caller's has %d", want.world, got.world)
	case got.target != want.rank:
		return fmt.Sprintf("this is rank %d, the caller wants rank %d", want.rank, got.target)
	}
	return ""
}
