//go:build unix && !linux

package agent

import "syscall"

// dieWithParent: only the closed socket ends the child here.
func dieWithParent() *syscall.SysProcAttr { return nil }
