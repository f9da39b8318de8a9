// Package view draws a run for people and prints it for programs: a live line on a terminal, plain
// lines in a pipe, JSON lines for scripts. It owns no state of a run beyond what the last lines
// need, and asks nobody anything.
package view
