// Package consulsnap reads the state in a snapshot's archive that a Consul 1.21 server has saved. It knows how rows are
// laid out and which kinds of rows there are; it knows nothing of what is in them, which is for the domains to say.
package consulsnap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tinylib/msgp/msgp"
)

// The state is a stream of MessagePack:
//
//	+--------------------------+     +----------+-----------+     +-----+
//	| {"LastIndex": uint}      | ... | kind (1) | row (any) | ... | EOF |
//	+--------------------------+     +----------+-----------+     +-----+
//
// It is written by an encoder that knows no byte strings: bytes travel as text, and so do times, in 15 bytes.

// A Kind is the first byte of a row.
type Kind byte

// The kinds of rows that something is made of.
const (
	Register      Kind = 0
	KVS           Kind = 2
	Session       Kind = 3
	Tombstone     Kind = 5
	Coordinates   Kind = 6
	PreparedQuery Kind = 7
	Autopilot     Kind = 9
	ConnectCA     Kind = 13
	Index         Kind = 16
	Token         Kind = 17
	Policy        Kind = 19
	ConfigEntry   Kind = 22
	Role          Kind = 23
	BindingRule   Kind = 25
	AuthMethod    Kind = 27
	Chunking      Kind = 29
	Metadata      Kind = 31
	VirtualIP     Kind = 32
	FreeVirtualIP Kind = 33
	KindNames     Kind = 34
)

// names are what Consul's own tools call the kinds.
var names = map[Kind]string{
	Register: "Register", 1: "Deregister", KVS: "KVS", Session: "Session", 4: "ACL (Deprecated)", Tombstone: "Tombstone",
	Coordinates: "CoordinateBatchUpdate", PreparedQuery: "PreparedQuery", 8: "Txn", Autopilot: "Autopilot", 10: "Area",
	11: "ACLBootstrap", 12: "Intention", ConnectCA: "ConnectCA", 14: "ConnectCAProviderState", 15: "ConnectCAConfig",
	Index: "Index", Token: "ACLToken", 18: "ACLTokenDelete", Policy: "ACLPolicy", 20: "ACLPolicyDelete", 21: "ConnectCALeaf",
	ConfigEntry: "ConfigEntry", Role: "ACLRole", 24: "ACLRoleDelete", BindingRule: "ACLBindingRule", 26: "ACLBindingRuleDelete",
	AuthMethod: "ACLAuthMethod", 28: "ACLAuthMethodDelete", Chunking: "ChunkingState", 30: "FederationState",
	Metadata: "SystemMetadata", VirtualIP: "ServiceVirtualIP", FreeVirtualIP: "FreeVirtualIP", KindNames: "KindServiceNames",
	35: "PeeringWrite", 36: "PeeringDelete", 37: "PeeringTerminateByID", 38: "PeeringTrustBundleWrite",
	39: "PeeringTrustBundleDelete", 40: "PeeringSecretsWrite",
}

// String is the kind's name, or its number if it has none.
func (k Kind) String() string {
	if n, ok := names[k]; ok {
		return n
	}
	return fmt.Sprintf("Unknown(%d)", byte(k))
}

// ErrDamaged tells that a state is not one that Consul has saved, or is not whole.
var ErrDamaged = errors.New("the snapshot is damaged")

// ErrNotSupported is what a domain answers for a row of a kind that it takes over, but which has no place here.
var ErrNotSupported = errors.New("not supported")

const (
	maxRow   = 32 << 20 // bytes of a row
	maxDepth = 64       // lists and maps within each other
	maxParts = 1 << 20  // values in a row
)

// A Row is one row as it was saved.
type Row struct {
	Kind Kind
	Raw  []byte // valid until the next row is read
}

// A Reader reads rows in the order in which they were saved.
type Reader struct {
	// LastIndex is the log index of the state.
	LastIndex uint64
	in        *msgp.Reader
	raw       bytes.Buffer
}

// Begins tells whether this is how a state that Consul has saved begins. It wants 16 bytes if there are as many.
func Begins(head []byte) bool { return bytes.HasPrefix(head, []byte("\x81\xa9LastIndex")) }

// NewReader reads the header.
func NewReader(from io.Reader) (*Reader, error) {
	r := &Reader{in: msgp.NewReader(bufio.NewReaderSize(from, 64<<10))}
	raw, err := r.next()
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	header, err := (&Row{Raw: raw}).Fields()
	if err != nil {
		return nil, err
	}
	r.LastIndex = header.Uint("LastIndex")
	return r, nil
}

// Next reads a row; its error is io.EOF after the last one.
func (r *Reader) Next() (*Row, error) {
	var kind [1]byte
	if _, err := io.ReadFull(r.in, kind[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	raw, err := r.next()
	if err != nil {
		return nil, fmt.Errorf("%w: a row of kind %s: %w", ErrDamaged, Kind(kind[0]), err)
	}
	return &Row{Kind: Kind(kind[0]), Raw: raw}, nil
}

// next reads one value. What it takes of memory grows with what has arrived, not with the lengths that the stream claims.
func (r *Reader) next() ([]byte, error) {
	r.raw.Reset()
	_, err := r.in.CopyNext(&bounded{&r.raw})
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return r.raw.Bytes(), err
}

// A bounded buffer refuses to grow beyond maxRow.
type bounded struct{ to *bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.to.Len()+len(p) > maxRow {
		return 0, fmt.Errorf("longer than %d bytes", maxRow)
	}
	return b.to.Write(p)
}
