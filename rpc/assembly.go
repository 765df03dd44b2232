package rpc

import (
	"bytes"
	"slices"
)

// An assembly is a message of which more is to come. It holds as much memory as has come, whatever the length will be.
type assembly struct {
	pieces [][]byte
	length int
}

// add adds a piece that is not the last one.
func (a *assembly) add(piece []byte) {
	a.pieces = append(a.pieces, bytes.Clone(piece))
	a.length += len(piece)
}

// complete adds the last piece, returns the message and is empty afterwards.
func (a *assembly) complete(piece []byte) []byte {
	if len(a.pieces) == 0 {
		return bytes.Clone(piece)
	}
	message := slices.Concat(append(a.pieces, piece)...)
	*a = assembly{}
	return message
}
