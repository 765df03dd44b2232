package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"lictor/rpc"
	"lictor/state"
)

// What goes ahead of an archive that one agent sends to another:
//
//	+----------------+------------------------+---------------------+
//	| index (8)      | last contact, ns (8)   | leader is known (1) |
//	+----------------+------------------------+---------------------+
//
// Numbers are big-endian.
const saveHeader = 8 + 8 + 1

// serveSave answers saveMethod.
func (s *server) serveSave(ctx context.Context, r *rpc.Request, reply io.Writer) error {
	var opts state.ReadOptions
	if err := rpc.Decode(r.Args, &opts); err != nil {
		return err
	}
	var failed error
	err := s.Save(ctx, r.Header, opts, reply, func(index uint64, meta state.ReadMeta) {
		var b [saveHeader]byte
		binary.BigEndian.PutUint64(b[:], index)
		binary.BigEndian.PutUint64(b[8:], uint64(meta.LastContact))
		if meta.KnownLeader {
			b[16] = 1
		}
		_, failed = reply.Write(b[:])
	})
	if err == nil {
		err = failed
	}
	return err
}

// save lets a server make an archive, and writes it to w.
func (r *router) save(ctx context.Context, choose func() (rpc.Target, bool), h rpc.Header, opts state.ReadOptions, w io.Writer, before func(uint64, state.ReadMeta)) error {
	args, err := rpc.Append(nil, &opts)
	if err != nil {
		return err
	}
	t, ok := choose()
	if !ok {
		return errNoServers
	}
	out := &savedArchive{to: w, before: before}
	err = r.pool.Transfer(ctx, t, h, saveMethod, args, nil, out)
	var broken *rpc.ConnError
	if errors.As(err, &broken) && broken.Sent {
		return rpc.Errorf(rpc.Internal, "the server at %s went away before the archive was complete: %s", t.Address, broken.Err)
	}
	if err != nil {
		return err
	}
	if out.have < saveHeader {
		return fmt.Errorf("the server at %s sent no archive", t.Address)
	}
	return nil
}

// A savedArchive takes apart what serveSave sends.
type savedArchive struct {
	to     io.Writer
	before func(uint64, state.ReadMeta)
	header [saveHeader]byte
	have   int // bytes of header
}

// Write passes on what is behind the header.
func (a *savedArchive) Write(p []byte) (int, error) {
	n := 0
	if a.have < saveHeader {
		n = copy(a.header[a.have:], p)
		if a.have += n; a.have < saveHeader {
			return n, nil
		}
		a.before(binary.BigEndian.Uint64(a.header[:]), state.ReadMeta{
			LastContact: time.Duration(binary.BigEndian.Uint64(a.header[8:])), KnownLeader: a.header[16] == 1})
	}
	m, err := a.to.Write(p[n:])
	return n + m, err
}

// restore sends an archive to the leader, and writes what it tells of it to report. Where the connection breaks under way the
// error says that the outcome is not known.
func (r *router) restore(ctx context.Context, choose func() (rpc.Target, bool), h rpc.Header, archive io.Reader, report io.Writer) error {
	t, ok := choose()
	if !ok {
		return errNoServers
	}
	return uncertain(r.pool.Transfer(ctx, t, h, restoreMethod, nil, archive, report), false)
}
