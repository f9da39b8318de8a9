package agent

import "syscall"

// dieWithParent asks the kernel to kill the child when the thread that made it ends: the second
// line behind the closed socket (I8). core.run never leaves its thread.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
