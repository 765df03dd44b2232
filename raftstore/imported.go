package raftstore

import (
	"errors"
	"fmt"
	"io"

	"lictor/acl"
	"lictor/ca"
	"lictor/catalog"
	"lictor/configentry"
	"lictor/consulsnap"
	"lictor/coordinate"
	"lictor/kv"
	"lictor/query"
	"lictor/session"
	"lictor/state"
)

// importers is THE list of what is taken over from archives that Consul has saved. What has no importer is counted and
// told. Nil stands for rows from which nothing follows here: what they hold follows from other rows, or is of use to
// Consul alone.
var importers = map[consulsnap.Kind]func(*state.Tx, consulsnap.Fields) error{
	consulsnap.Register:      catalog.Import,
	consulsnap.KVS:           kv.Import,
	consulsnap.Session:       session.Import,
	consulsnap.Tombstone:     kv.ImportTombstone,
	consulsnap.Coordinates:   coordinate.Import,
	consulsnap.Autopilot:     importAutopilot,
	consulsnap.PreparedQuery: query.Import,
	consulsnap.Policy:        acl.ImportPolicy,
	consulsnap.Role:          acl.ImportRole,
	consulsnap.Token:         acl.ImportToken,
	consulsnap.AuthMethod:    acl.ImportAuthMethod,
	consulsnap.BindingRule:   acl.ImportBindingRule,
	consulsnap.ConfigEntry:   configentry.Import,
	consulsnap.VirtualIP:     catalog.ImportVirtual,
	consulsnap.FreeVirtualIP: catalog.ImportSpare,
	consulsnap.Index:         nil,
	consulsnap.Chunking:      nil,
	consulsnap.Metadata:      nil,
	consulsnap.KindNames:     nil,
}

// Imported tells what was taken over from an archive that Consul has saved, and what has no place here yet: how many rows
// of each kind, by Consul's names.
type Imported struct {
	Index        uint64
	TakenOver    map[string]int
	NotSupported map[string]int
}

// translate replaces the archive's state, which Consul has saved, by one of ours. What belongs to this cluster rather
// than to what it keeps stays as it is in now: its id and its certificate authority. If it fails nothing has changed but a.
func (a *archived) translate(dir string, now *state.Tx) (*Imported, error) {
	db, err := state.Open(Tables()...)
	if err != nil {
		return nil, err
	}
	in, err := consulsnap.NewReader(a.state)
	if err != nil {
		return nil, err
	}
	if in.LastIndex > maxIndex {
		return nil, fmt.Errorf("its index %d is out of range", in.LastIndex)
	}
	tx := db.Write(max(in.LastIndex, a.meta.Index, 1))
	imported, err := importRows(tx, in)
	if err != nil {
		tx.Abort()
		return nil, err
	}
	ca.Keep(now, tx)
	if id := ClusterID(now); id != "" {
		clusterTable.Insert(tx, &Cluster{ID: id})
	}
	tx.Commit()
	file, err := unlinked(dir)
	if err != nil {
		return nil, err
	}
	size, err := db.Snapshot().WriteTo(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	a.state.Close()
	a.state, a.meta.Size = file, size
	return imported, nil
}

func importRows(tx *state.Tx, in *consulsnap.Reader) (*Imported, error) {
	done := &Imported{Index: tx.Index(), TakenOver: map[string]int{}, NotSupported: map[string]int{}}
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			return done, nil
		}
		if err != nil {
			return nil, err
		}
		if err := done.row(tx, row); err != nil {
			return nil, err
		}
		tx.Events()
		tx.Advance(tx.Index()) // so that what it has touched does not add up
	}
}

func (d *Imported) row(tx *state.Tx, row *consulsnap.Row) error {
	all, err := row.Structs()
	if err != nil {
		return err
	}
	take, known := importers[row.Kind]
	if known && take == nil {
		return nil
	}
	kind := row.Kind.String()
	for _, f := range all {
		err := consulsnap.ErrNotSupported
		if take != nil {
			err = take(tx, f)
		}
		switch {
		case errors.Is(err, consulsnap.ErrNotSupported):
			d.NotSupported[kind]++
		case err != nil:
			return fmt.Errorf("%s: %w", kind, err)
		default:
			d.TakenOver[kind]++
		}
	}
	return nil
}

func importAutopilot(tx *state.Tx, f consulsnap.Fields) error {
	config := DefaultAutopilot()
	if err := f.Into(&config); err != nil {
		return err
	}
	if config.LastContactThreshold < 0 || config.ServerStabilizationTime < 0 {
		return fmt.Errorf("%w: a negative duration", consulsnap.ErrDamaged)
	}
	autopilotTable.Insert(tx, &config)
	return nil
}
