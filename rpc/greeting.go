package rpc

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// The first byte of a connection to port 8300 says what it speaks.
const (
	ProtocolRaft  byte = 1 // Raft between servers
	ProtocolCalls byte = 2 // many calls at once: see Pool.Call and Pool.Stream
	ProtocolBulk  byte = 3 // one large transfer: see Pool.Transfer

	ProtocolGossip byte = 6 // gossip between servers of several datacenters, inside TLS only

	// These stand alone before the greeting, which then comes inside TLS.
	protocolTLS      byte = 4
	protocolStranger byte = 5 // TLS with who has no certificate yet: it may make introducing calls only
)

var errProtocol = errors.New("unknown protocol")

// Greet writes what every connection to port 8300 begins with: what it speaks and the id of the node that is meant, so
// that an address that has passed to another node does not deliver to it. An id of "" means whoever answers. Who dials
// greets; the deadline for it is set by the caller.
//
//	0          1          2
//	+----------+----------+----- ... -----+
//	| protocol | length   | id            |
//	+----------+----------+----- ... -----+
func Greet(conn net.Conn, protocol byte, id string) error {
	if len(id) > 255 {
		return fmt.Errorf("the id of a node has %d bytes, and 255 are the most", len(id))
	}
	_, err := conn.Write(append([]byte{protocol, byte(len(id))}, id...))
	return err
}

// readProtocol reads no byte beyond the first.
func readProtocol(conn io.Reader) (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(conn, b[:])
	return b[0], err
}

// readName reads the id of the node that is meant.
func readName(conn io.Reader) (string, error) {
	var b [256]byte
	if _, err := io.ReadFull(conn, b[:1]); err != nil {
		return "", err
	}
	name := b[:b[0]]
	_, err := io.ReadFull(conn, name)
	return string(name), err
}
