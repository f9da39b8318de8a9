// Package rank is one rank process: it drives one device for one generation and then ends.
//
// Its only link to the world above is a socket inherited from its worker daemon (descriptor 3).
// Assignments come down, reports go up. When the socket closes, the daemon is dead and the
// process exits at once (I8); it never outlives the daemon and never speaks to a coordinator.
//
//	start -> LISTENING (address) -> peers known -> STEPPING -> DONE | DEAD(reason, class)
package rank
