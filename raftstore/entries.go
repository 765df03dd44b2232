package raftstore

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// entryCodec writes what raft-wal's own codec writes, to the byte, with a quarter of its allocations: each entry of the log
// is encoded once on every server.
//
//	+-------+------+------+----------+------+----------+------------+----------------+
//	| index | term | type | length   | data | length   | extensions | time           |
//	| uvarint             | uvarint  |      | uvarint  |            | as Time has it |
//	+-------+------+------+----------+------+----------+------------+----------------+
//
// raft-wal looks once at the number of a codec before it opens a log, to refuse those of others that claim to be its own.
// From then on the number is that of the format, which files have in their headers, so any raft-wal reads them.
type entryCodec struct {
	wal.BinaryCodec
	asked atomic.Bool
}

// ID is the number of the format.
func (c *entryCodec) ID() uint64 {
	if !c.asked.Swap(true) {
		return wal.FirstExternalCodecID
	}
	return wal.CodecBinaryV1
}

// Encode writes an entry. raft-wal hands it an empty bytes.Buffer for each.
func (c *entryCodec) Encode(l *raft.Log, w io.Writer) error {
	buf, ok := w.(*bytes.Buffer)
	if !ok {
		return c.BinaryCodec.Encode(l, w)
	}
	const numbers, time = 5 * binary.MaxVarintLen64, 16
	buf.Grow(numbers + len(l.Data) + len(l.Extensions) + time)
	b := buf.AvailableBuffer()
	b = binary.AppendUvarint(b, l.Index)
	b = binary.AppendUvarint(b, l.Term)
	b = binary.AppendUvarint(b, uint64(l.Type))
	b = append(binary.AppendUvarint(b, uint64(len(l.Data))), l.Data...)
	b = append(binary.AppendUvarint(b, uint64(len(l.Extensions))), l.Extensions...)
	b, err := l.AppendedAt.AppendBinary(b)
	if err != nil {
		return err
	}
	_, err = buf.Write(b)
	return err
}
