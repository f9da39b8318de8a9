package merge

// Limit is above every symbol and rank of a Table.
const Limit = 1<<24 - 1

// None is what Get returns of a pair that is not in the table; it is above every value that is.
const None = ^uint64(0)

// Table maps a pair of symbols to a rank and a symbol: open addressing. Most pairs that are asked
// for are not there; a bit map, small enough for the L2 cache, tells nearly all of them apart
// before the table, which is not, is touched.
type Table struct {
	shift  uint
	slots  []slot
	filter []uint64 // 8 bits a slot; a clear bit: no pair of that hash
}

// slot is left, right, rank and whole of a pair, each of 24 bits. All ones: empty.
type slot [3]uint32

var emptySlot = slot{^uint32(0), ^uint32(0), ^uint32(0)}

const mask24 = 1<<24 - 1

// NewTable makes a table that is at most five eighths full with so many pairs.
func NewTable(pairs int) Table {
	bits := uint(4)
	for 5<<bits < 8*pairs {
		bits++
	}
	t := Table{
		shift:  64 - bits,
		slots:  make([]slot, 1<<bits),
		filter: make([]uint64, 1<<bits/8),
	}
	for i := range t.slots {
		t.slots[i] = emptySlot
	}
	return t
}

// Hash is a hash of a pair, whose high bits are the good ones: Fibonacci hashing, 2^64 divided by
// the golden ratio.
func Hash(left, right int32) uint64 {
	key := keyOf(left, right)
	return (key ^ key>>21) * 0x9E3779B97F4A7C15
}

func keyOf(left, right int32) uint64 { return uint64(uint32(left))<<24 | uint64(uint32(right)) }

func (s *slot) key() uint64 { return uint64(s[0])<<16 | uint64(s[1]>>16) }

func (s *slot) value() uint64 {
	return uint64(s[1]&0xFFFF)<<40 | uint64(s[2]>>24)<<32 | uint64(s[2]&mask24)
}

// Put sets what a pair merges into, and when: the lowest rank first. All are below Limit.
func (t *Table) Put(left, right int32, rank uint32, whole int32) {
	key, hash := keyOf(left, right), Hash(left, right)
	bit := hash >> (t.shift - 3)
	t.filter[bit/64] |= 1 << (bit % 64)
	mask := uint64(len(t.slots) - 1)
	for i := hash >> t.shift; ; i = (i + 1) & mask {
		if s := &t.slots[i]; *s == emptySlot || s.key() == key {
			*s = slot{uint32(key >> 16), uint32(key)<<16 | rank>>8, rank<<24 | uint32(whole)}
			return
		}
	}
}

// Get returns rank<<32 | whole, or None. The symbols must not be negative.
func (t *Table) Get(left, right int32) uint64 {
	key := keyOf(left, right)
	hash := (key ^ key>>21) * 0x9E3779B97F4A7C15
	if bit := hash >> (t.shift - 3); t.filter[bit/64]>>(bit%64)&1 == 0 {
		return None
	}
	mask := uint64(len(t.slots) - 1)
	for i := hash >> t.shift; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.key() == key {
			return s.value()
		}
		if *s == emptySlot {
			return None
		}
	}
}
