package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"lictor/acl"
	"lictor/consulsnap"
	"lictor/heap"
	"lictor/state"
)

// Save streams an archive of the whole state and returns the index it is of. Unless stale is allowed only the leader
// answers. Before is called once nothing can fail any more but the writing, with that index.
func (s *Service) Save(ctx context.Context, az acl.Authorizer, opts state.ReadOptions, w io.Writer, before func(index uint64, meta state.ReadMeta)) error {
	if err := acl.Require(az, acl.ACL, "", acl.Write); err != nil {
		return err
	}
	fresh, err := s.Node.Fresh(ctx, opts)
	if err != nil {
		return err
	}
	meta, snapshot, err := s.Node.newest()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	before(meta.Index, fresh)
	return writeArchive(w, meta, snapshot)
}

// newest takes a snapshot now, or the last one if nothing has been written since.
func (n *Node) newest() (*raft.SnapshotMeta, io.ReadCloser, error) {
	future := n.raft.Snapshot()
	err := future.Error()
	if err == nil {
		return future.Open()
	}
	if !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil, nil, fmt.Errorf("take a snapshot: %w", err)
	}
	have, err := n.store.snapshots.List()
	if err != nil {
		return nil, nil, fmt.Errorf("list the snapshots: %w", err)
	}
	if len(have) == 0 {
		return nil, nil, errors.New("there is nothing to save yet")
	}
	return n.store.snapshots.Open(have[0].ID)
}

// maxIndex bounds the index of an archive: the log goes on behind it.
const maxIndex = 1 << 62

// Restore replaces the whole state of the cluster by that of an archive, one of ours or one that Consul has saved. The
// archive is read and checked to its end before anything changes. Only the leader can do it. For an archive of Consul's
// it returns what was taken over, else nil.
func (s *Service) Restore(ctx context.Context, az acl.Authorizer, r io.Reader) (*Imported, error) {
	if err := acl.Require(az, acl.ACL, "", acl.Write); err != nil {
		return nil, err
	}
	a, err := readArchive(r, s.Node.scratch())
	if err != nil {
		return nil, err
	}
	defer a.close()
	if a.meta.Index > maxIndex {
		return nil, fmt.Errorf("failed to restore snapshot: its index %d is out of range", a.meta.Index)
	}
	imported, err := s.prepare(a)
	if err != nil {
		return nil, fmt.Errorf("failed to restore snapshot: %w", err)
	}
	if !s.Node.Leads() {
		return nil, state.ErrNoLeader
	}
	if err := s.Node.raft.Restore(&a.meta, a.state, 0); err != nil {
		return nil, s.Node.explain(err)
	}
	return imported, nil
}

// prepare makes sure that the state of an archive can be restored, makes it one of ours if it is of Consul's, and writes into
// it that it is restored now.
func (s *Service) prepare(a *archived) (*Imported, error) {
	head := make([]byte, 16)
	n, err := io.ReadFull(a.state, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if _, err := a.state.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var imported *Imported
	if consulsnap.Begins(head[:n]) {
		done := heap.Spare()
		imported, err = a.translate(s.Node.scratch(), s.Node.DB().Read().Unwatched())
		done()
	} else {
		err = state.Verify(a.state, Tables()...)
	}
	if err != nil {
		return nil, err
	}
	if a.meta.Size, err = state.Stamp(a.state, max(s.Node.raft.LastIndex(), a.meta.Index)+1); err != nil {
		return nil, err
	}
	_, err = a.state.Seek(0, io.SeekStart)
	return imported, err
}
