//go:build !unix

package main

import (
	"os"
	"os/exec"
)

// notifyOfDumps does nothing: no signal asks for metrics.
func notifyOfDumps(chan<- os.Signal) {}

// lead does nothing: there are no process groups.
func lead(*exec.Cmd) {}

// signal ends the child, whatever the signal.
func (ch *child) signal(os.Signal) { _ = ch.cmd.Process.Kill() }

// notifyOfOthers does nothing: there are no signals but those to end.
func notifyOfOthers(chan<- os.Signal) {}
