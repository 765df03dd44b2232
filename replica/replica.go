// Package replica keeps copies of rows that another datacenter owns. It knows what of them differs, when to look again and how
// a round of copying goes; it knows nothing of what the rows say, who may read them or how the other datacenter is reached.
//
// A round is two kinds of calls at the owner. The first one waits until something has changed and brings the keys and digests
// of all rows, of one moment (owner.go). The second ones bring the rows whose digests differ. What was changed or removed is
// then written here in few commands, and nothing where nothing differs (copier.go).
package replica

import (
	"bytes"
	"crypto/sha256"
	"iter"
	"time"

	"lictor/rpc"
	"lictor/state"
)

//msgp:ignore Kind Table encoded
//go:generate go tool msgp -o replica_gen.go -tests=false -io=false

// The methods of the owner.
var (
	ListMethod  = rpc.Method[Question, *Listing]{Name: "Replica.List", Anywhere: true, Repeatable: true}
	FetchMethod = rpc.Method[Selection, *Rows]{Name: "Replica.Fetch", Anywhere: true, Repeatable: true}
)

// A Question asks which rows there are, once at least one of the kinds has another index than was last seen, or after Wait.
type Question struct {
	Kinds []Seen `msg:"Kinds,allownil"`
	Wait  time.Duration
}

// Seen is the index of a kind as it was last answered; 0 if it has not been.
type Seen struct {
	Kind  string
	Index uint64
}

// A Listing answers a Question, kind by kind, all of one moment.
type Listing struct {
	Kinds []Stubs `msg:"Kinds,allownil"`
}

// Stubs are the rows of a kind without what they say. Same tells that the index is the one that was seen, and the rows are
// left out.
type Stubs struct {
	Index uint64
	Same  bool
	Stubs []Stub `msg:"Stubs,allownil"`
}

// A Stub is a key and the digest of what the row says.
type Stub struct {
	Key    string
	Digest []byte
}

// A Selection asks for some rows of a kind.
type Selection struct {
	Kind string
	Keys []string `msg:"Keys,allownil"`
}

// Rows answers a Selection with those rows that are still there.
type Rows struct {
	Rows []Row `msg:"Rows,allownil"`
}

// A Row is a row with all that it says, in MessagePack.
type Row struct {
	Key    string
	Digest []byte
	Body   []byte
}

// digestSize is how many bytes of a hash tell rows apart.
const digestSize = 16

// digest is what changes when what a row says does.
func digest(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:digestSize]
}

// A Kind is a Table, of rows of any type. Z is who asks, as in rpc.Registry.
type Kind[Z any] interface {
	name() string
	index(tx *state.Tx) uint64
	may(tx *state.Tx, az Z) error
	stubs(tx *state.Tx) []Stub
	fetch(tx *state.Tx, az Z, keys []string) ([]Row, error)
	digests(tx *state.Tx) map[string]string
	changed(tx *state.Tx, rows []Row) ([]Row, error)
	command(rows []Row, gone []string) (state.Command, error)
}

// A Table says how the rows of a table are copied, at the owner as well as where the copies are.
type Table[Z, T any] struct {
	Name string // of the kind, which both sides know it by
	Rows *state.Table[T]
	Key  func(row *T) string // primary key in the table
	// Takes tells whether a row is copied, or is a copy; nil takes all.
	Takes func(row *T) bool
	// Over tells whether a row has ended by this server's clock, which may be hours from the owner's; nil is that none ever does.
	// Such rows are neither listed nor written.
	Over func(row *T) bool
	// Bare is the row without what differs between datacenters, such as indexes.
	Bare func(row T) T
	// May refuses who must not know that there is such a row, or with whole what it says. With nil it is asked about all rows.
	May func(az Z, row *T, whole bool) error
	// Command writes rows as they are at the owner and removes others. It refuses what must not be written.
	Command func(rows []*T, gone []string) (state.Command, error)
}

// encoded is what generated code gives each row.
type encoded interface {
	MarshalMsg(b []byte) ([]byte, error)
}

func (t *Table[Z, T]) name() string { return t.Name }

// index is that of the last change, which a reading tx watches.
func (t *Table[Z, T]) index(tx *state.Tx) uint64 {
	return max(tx.Changed(t.Rows.Name()), tx.Floor(), 1)
}

// all runs over the rows that are copied, or are copies.
func (t *Table[Z, T]) all(tx *state.Tx) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for r := range t.Rows.All(tx) {
			if t.takes(r) && !t.over(r) && !yield(r) {
				return
			}
		}
	}
}

func (t *Table[Z, T]) takes(r *T) bool { return t.Takes == nil || t.Takes(r) }

func (t *Table[Z, T]) over(r *T) bool { return t.Over != nil && t.Over(r) }

func (t *Table[Z, T]) encode(r *T) []byte {
	bare := t.Bare(*r)
	body, err := any(&bare).(encoded).MarshalMsg(nil)
	if err != nil {
		panic("replica: " + t.Name + ": " + err.Error()) // rows are plain data
	}
	return body
}

// may refuses who must not know of one of the rows: what was left out of a list would be taken for removed.
func (t *Table[Z, T]) may(tx *state.Tx, az Z) error {
	if err := t.May(az, nil, false); err != nil {
		return err
	}
	for r := range t.all(tx) {
		if err := t.May(az, r, false); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table[Z, T]) stubs(tx *state.Tx) []Stub {
	var all []Stub
	for r := range t.all(tx) {
		all = append(all, Stub{t.Key(r), digest(t.encode(r))})
	}
	return all
}

// fetch gives whole rows to who asks for them.
func (t *Table[Z, T]) fetch(tx *state.Tx, az Z, keys []string) ([]Row, error) {
	if err := t.May(az, nil, true); err != nil {
		return nil, err
	}
	var found []Row
	for _, key := range keys {
		r := t.Rows.Get(tx, key)
		if r == nil || !t.takes(r) || t.over(r) {
			continue
		}
		if err := t.May(az, r, true); err != nil {
			return nil, err
		}
		body := t.encode(r)
		found = append(found, Row{key, digest(body), body})
	}
	return found, nil
}

// digests are those of the copies that are here, by key.
func (t *Table[Z, T]) digests(tx *state.Tx) map[string]string {
	here := map[string]string{}
	for r := range t.all(tx) {
		here[t.Key(r)] = string(digest(t.encode(r)))
	}
	return here
}

// changed leaves out the rows that are over here, and those that say what is here already, although the owner, of another version,
// encodes them otherwise.
func (t *Table[Z, T]) changed(tx *state.Tx, rows []Row) ([]Row, error) {
	var left []Row
	for _, row := range rows {
		theirs, err := t.decode(row)
		if err != nil {
			return nil, err
		}
		if t.over(theirs) {
			continue
		}
		if ours := t.Rows.Get(tx, row.Key); ours == nil || !bytes.Equal(t.encode(ours), t.encode(theirs)) {
			left = append(left, row)
		}
	}
	return left, nil
}

func (t *Table[Z, T]) decode(row Row) (*T, error) {
	r := new(T)
	if err := rpc.Decode(row.Body, r); err != nil {
		return nil, rpc.Errorf(rpc.Internal, "%s: a row that cannot be read: %s", t.Name, err)
	}
	if t.Key(r) != row.Key || !t.takes(r) {
		return nil, rpc.Errorf(rpc.Internal, "%s: a row that was not asked for, or is not to be copied", t.Name)
	}
	return r, nil
}

// command makes what writes rows and removes others.
func (t *Table[Z, T]) command(rows []Row, gone []string) (state.Command, error) {
	set := make([]*T, len(rows))
	for i, row := range rows {
		var err error
		if set[i], err = t.decode(row); err != nil {
			return nil, err
		}
	}
	return t.Command(set, gone)
}
