//go:build unix

package main

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// notifyOfDumps delivers the signal that asks an agent for its metrics.
func notifyOfDumps(to chan<- os.Signal) { signal.Notify(to, syscall.SIGUSR1) }

// notifyOfOthers delivers the signals that every program gives a meaning of its own.
func notifyOfOthers(to chan<- os.Signal) { signal.Notify(to, syscall.SIGUSR1, syscall.SIGUSR2) }

// lead puts a command into a process group of its own, all of which gets its signals.
func lead(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signal sends a signal to the child. One that has ended already needs none, so failures say nothing.
func (ch *child) signal(s os.Signal) {
	n, ok := s.(syscall.Signal)
	if ch.foreground || !ok {
		_ = ch.cmd.Process.Signal(s)
		return
	}
	_ = syscall.Kill(-ch.cmd.Process.Pid, n)
}
