package train

import (
	"fmt"
	"strconv"
)

// exact is a float64 that keeps its value through JSON also where it is not finite.
type exact float64

// MarshalText writes the shortest form that reads back the same.
func (x exact) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(x), 'g', -1, 64), nil
}

// UnmarshalText reads what MarshalText wrote.
func (x *exact) UnmarshalText(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("read number: %w", err)
	}
	*x = exact(f)
	return nil
}
