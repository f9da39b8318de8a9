package pieces

// none is the value of a pair that is not in a pairTable; every value put there is below it.
const none = ^uint64(0)

// pairTable maps a pair of numbers to a value: open addressing, at most half full. Most pairs that
// are asked for are not there; a bit map, small enough for the L2 cache, tells nearly all of them
// apart before the table, which is not, is touched.
type pairTable struct {
	shift  uint
	slots  []pairSlot
	filter []uint64 // 4 bits a slot; a clear bit: no pair of that hash
}

type pairSlot struct{ key, value uint64 }

func newPairTable(entries int) pairTable {
	bits := uint(4)
	for 1<<bits < 2*entries {
		bits++
	}
	t := pairTable{
		shift:  64 - bits,
		slots:  make([]pairSlot, 1<<bits),
		filter: make([]uint64, 1<<bits/16),
	}
	for i := range t.slots {
		t.slots[i].value = none
	}
	return t
}

// hashPair packs a pair and hashes it: Fibonacci hashing, 2^64 divided by the golden ratio. The
// high bits are the good ones.
func hashPair(left, right int32) (key, hash uint64) {
	key = uint64(uint32(left))<<32 | uint64(uint32(right))
	return key, (key ^ key>>29) * 0x9E3779B97F4A7C15
}

func (t *pairTable) put(left, right int32, value uint64) {
	key, hash := hashPair(left, right)
	bit := hash >> (t.shift - 2)
	t.filter[bit/64] |= 1 << (bit % 64)
	mask := uint64(len(t.slots) - 1)
	for i := hash >> t.shift; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.value == none || s.key == key {
			*s = pairSlot{key, value}
			return
		}
	}
}

func (t *pairTable) get(left, right int32) uint64 {
	key, hash := hashPair(left, right)
	if bit := hash >> (t.shift - 2); t.filter[bit/64]>>(bit%64)&1 == 0 {
		return none
	}
	mask := uint64(len(t.slots) - 1)
	for i := hash >> t.shift; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.key == key || s.value == none {
			return s.value
		}
	}
}
