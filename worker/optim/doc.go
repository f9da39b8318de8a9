// Package optim is the arithmetic of the optimizer that is not a tensor kernel: what a phase
// trains, the learning rate of a step, the constants of an AdamW update, and the clip factor. All
// functions are pure, and all in float64; every rank computes them itself and must get the same
// bits (I3). They therefore use no library function that chooses its instructions by CPU (math.Exp,
// and math.Pow of a fraction).
//
// It never touches a tensor (kernel.AdamW does) and keeps no state: the step number is the state.
package optim
