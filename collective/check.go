package collective

import "fmt"

// CheckAllGather says what is wrong with the arguments of an AllGather on rank me of a world.
func CheckAllGather(me Rank, world int, dst []float32, counts []int, src []float32) error {
	if len(counts) != world {
		return fmt.Errorf("%d counts for %d ranks", len(counts), world)
	}
	total := 0
	for r, n := range counts {
		if n < 0 || n > len(dst)-total {
			return fmt.Errorf("counts[%d] = %d goes beyond dst, %d elements", r, n, len(dst))
		}
		total += n
	}
	switch {
	case total != len(dst):
		return fmt.Errorf("counts add up to %d, dst has %d elements", total, len(dst))
	case len(src) != counts[me]:
		return fmt.Errorf("src has %d elements, counts[%d] = %d", len(src), me, counts[me])
	}
	return nil
}

// CheckAllToAll is CheckAllGather for AllToAll.
func CheckAllToAll(me Rank, world int, recv, send [][]float32) error {
	if len(recv) != world || len(send) != world {
		return fmt.Errorf("%d recv and %d send slices for %d ranks", len(recv), len(send), world)
	}
	if len(recv[me]) != len(send[me]) {
		return fmt.Errorf("rank %d sends itself %d elements and expects %d",
			me, len(send[me]), len(recv[me]))
	}
	return nil
}

// CheckAllToAllFunc is CheckAllGather for AllToAllFunc.
func CheckAllToAllFunc(me Rank, world int, counts []int, send [][]float32) error {
	if len(counts) != world || len(send) != world {
		return fmt.Errorf("%d counts and %d send slices for %d ranks",
			len(counts), len(send), world)
	}
	if counts[me] != 0 || len(send[me]) != 0 {
		return fmt.Errorf("rank %d expects %d elements from itself and sends %d",
			me, counts[me], len(send[me]))
	}
	for r, n := range counts {
		if n < 0 {
			return fmt.Errorf("counts[%d] = %d", r, n)
		}
	}
	return nil
}
