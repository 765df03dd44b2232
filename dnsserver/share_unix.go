//go:build unix

package dnsserver

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// canShare tells that several sockets can be bound to one UDP port, among which the system spreads the askers.
const canShare = true

// sharePort lets a socket share its port.
func sharePort(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
