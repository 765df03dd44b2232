//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// inGroup puts a command into a process group of its own, all of which is killed when the command's time is over.
func inGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
