//go:build !unix

package main

import (
	"os"
	"os/exec"
)

// lead does nothing: there are no process groups.
func lead(*exec.Cmd) {}

// signal ends the child, whatever the signal.
func (ch *child) signal(os.Signal) { _ = ch.cmd.Process.Kill() }
