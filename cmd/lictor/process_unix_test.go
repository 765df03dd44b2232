//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
)

func TestSignalsOfOnesOwnReachTheCommand(t *testing.T) {
	addr, cl := startAgent(t)
	j := begin(addr, "lock", "-child-exit-code", "lk", "trap 'echo what it means to me; exit 7' USR1; echo held; while :; do :; done")
	<-j.stdout.seen
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if got := j.ended(); got != "2 held\nwhat it means to me\nError running handler: exit status 7\n" {
		t.Error(got)
	}
	nothingLeft(t, cl)
}
