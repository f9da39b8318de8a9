//go:build race

package train

// The race detector looks at goroutines, which the model does not change.
func init() { matrixModels = matrixModels[:1] }
