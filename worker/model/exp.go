package model

import "math"

// Exp is e^x with the same bits on every CPU of an architecture, which math.Exp does not promise:
// for what becomes part of a record, such as a perplexity. Beyond the range of float64 it is
// infinite or 0.
func Exp(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return x
	case x > 709:
		return math.Inf(1)
	case x < -700:
		return 0
	}
	return exp(x)
}
