// Package server is a coordinator: it wires consensus, state, planner, telemetry and the gRPC
// services into one member, and holds what only a leader does.
//
//	RPC handlers (service.go, watch.go, session.go) --messages--> lead.run --commands--> Raft
//	                                                                |
//	              telemetry <--recorder, one a run--   <------------+----> Desired to the workers
//
// lead.run (lead.go) is the one goroutine that proposes. It is level-triggered: whatever happened,
// it looks at the replicated state and at what the workers last said, and does the next thing that
// is missing (drive.go). So a new leader needs no handover: workers say everything again, and the
// same rules go on. Leases, reports and collected shards live in the leader's memory only; a new
// leader gives every lease a full grace period (I8), and its absence stops no rank (I9).
//
// Slow work (manifests, deletions, publishing) runs in goroutines that post their result back.
package server
