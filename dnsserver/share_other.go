//go:build !unix

package dnsserver

import "syscall"

// canShare tells that only one socket can be bound to a UDP port.
const canShare = false

// sharePort leaves a socket as it is.
func sharePort(string, string, syscall.RawConn) error { return nil }
