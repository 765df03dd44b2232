package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"lictor/rpc"
	"lictor/state"
)

// Snapshots saves and restores the whole state.
type Snapshots interface {
	// Save streams an archive to w. It calls before once, with the index that the archive is of, ahead of the first
	// byte and only if there will be one.
	Save(ctx context.Context, h rpc.Header, opts state.ReadOptions, w io.Writer, before func(index uint64, meta state.ReadMeta)) error
	// Restore reads an archive to its end, checks it, and then replaces the state. If Consul has saved the archive it
	// writes to report, as JSON, what was taken over.
	Restore(ctx context.Context, h rpc.Header, r io.Reader, report io.Writer) error
}

// snapshotSave answers GET /v1/snapshot.
func (s *Server) snapshotSave(w http.ResponseWriter, r *http.Request) (any, error) {
	opts, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	begun := false
	err = s.Snapshots.Save(r.Context(), opts.Header, opts.ReadOptions, w, func(index uint64, meta state.ReadMeta) {
		begun = true
		writeMeta(w.Header(), index, meta)
		w.Header().Set("Content-Type", "application/x-gzip")
	})
	if err != nil && begun {
		s.Log.Error("failed to send a snapshot", "error", err)
		panic(http.ErrAbortHandler) // the client must not take what it has for the whole
	}
	return written, err
}

// snapshotRestore answers PUT /v1/snapshot.
func (s *Server) snapshotRestore(w http.ResponseWriter, r *http.Request) (any, error) {
	var report bytes.Buffer
	if err := s.Snapshots.Restore(r.Context(), header(r), r.Body, &report); err != nil {
		return nil, err
	}
	if report.Len() > 0 {
		return json.RawMessage(report.Bytes()), nil
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	return written, nil
}
