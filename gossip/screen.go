package gossip

import (
	"bufio"
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
	"github.com/tinylib/msgp/msgp"
	"golang.org/x/time/rate"
)

// The screen stands between the network and memberlist. memberlist trusts lengths and indexes in messages whose sender
// it does not know, and serf those inside: a user message of 2^62 bytes, a member without versions, an empty compressed
// message, a query with an empty filter each end the process, a few bytes can unpack to a hundred megabytes, and the
// decoder takes four gigabytes for an extension that claims to be so long, before it reads it. So on
// a pool that takes plaintext every message is read here first, by the same decoder; what would do harm is dropped.
// Encrypted messages pass: only a holder of the key can have made them.
//
// A packet is one message; a stream begins with one message, on which memberlist answers:
//
//	+------+----------------------------------------------+
//	| type | body                                         |
//	+------+----------------------------------------------+
//	crc       4 bytes of checksum, then a message
//	compound  n, n lengths of 2 bytes, then n messages
//	compress  msgpack {Algo, Buf}, Buf being LZW of a message
//	user      packet: a message of serf; stream: msgpack {UserMsgLen} and as many bytes
//	push/pull msgpack {Nodes, UserStateLen, Join}, Nodes times msgpack of a member, UserStateLen bytes
type screen struct {
	// sealed: nothing but encrypted messages is accepted, and memberlist sees to that.
	sealed bool
	// relays bounds indirect pings, each of which costs memberlist a goroutine for a while.
	relays *rate.Limiter
}

// The types of memberlist's messages.
const (
	msgPing         = 0
	msgIndirectPing = 1
	msgAck          = 2
	msgAlive        = 4
	msgPushPull     = 6
	msgCompound     = 7
	msgUser         = 8
	msgCompress     = 9
	msgEncrypt      = 10
	msgCRC          = 12
)

// The types of serf's messages that name members, and that hold others. What is relayed goes on to another member, which
// screens it for itself.
const (
	serfLeave            = 0
	serfJoin             = 1
	serfQuery            = 4
	serfQueryResponse    = 5
	serfConflictResponse = 6
	serfKeyResponse      = 8
)

// tagsMagic begins the metadata of a member if tags follow, and pingVersion the payload of an acknowledgement if a
// coordinate does.
const (
	tagsMagic   = 255
	pingVersion = 1
)

const (
	// maxDepth is how deep messages may be wrapped in each other; memberlist itself wraps three deep.
	maxDepth = 6
	// maxUnpacked bounds what one packet unpacks to, which was a packet before; maxState what one stream does, and maxRatio
	// how many times its size that is: names that serf hears of for the first time stay in memory for a while.
	maxUnpacked = 64 << 10
	maxState    = 24 << 20
	maxRatio    = 64
	// maxName bounds the names of members, in bytes. Serf asks for 128 at most, of who starts with a name of its own.
	maxName = 1024
	// maxStateMembers bounds the members in one push/pull.
	maxStateMembers = 100_000
	// maxStreamUser bounds user messages over a stream, which serf does not send at all.
	maxStreamUser = 1 << 20
	// memberVersions is how many versions a member states.
	memberVersions = 6

	relaysPerSecond = 500
	relayBurst      = 1000
)

var errScreened = errors.New("malformed gossip message")

func newScreen(sealed bool) *screen {
	return &screen{sealed: sealed, relays: rate.NewLimiter(relaysPerSecond, relayBurst)}
}

// packet reports whether memberlist may see the packet.
func (s *screen) packet(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if s.sealed {
		return true
	}
	w := walk{screen: s, budget: maxUnpacked}
	return w.message(b, maxDepth) == nil
}

// walk goes through one packet; budget is how many bytes it may still unpack to.
type walk struct {
	*screen
	budget int
}

func (w *walk) message(b []byte, depth int) error {
	if len(b) == 0 || depth == 0 {
		return errScreened
	}
	body := b[1:]
	switch b[0] {
	case msgCRC:
		if len(b) < 5 {
			return errScreened
		}
		return w.message(b[5:], depth-1)
	case msgCompound:
		return w.compound(body, depth-1)
	case msgCompress:
		plain, err := unpack(body, w.budget)
		if err != nil {
			return err
		}
		w.budget -= len(plain)
		return w.message(plain, depth-1)
	case msgUser:
		return checkSerf(body)
	case msgIndirectPing:
		if !w.relays.AllowN(time.Now(), 1) {
			return errScreened
		}
	case msgAlive:
		var member struct {
			Node string
			Meta []byte
		}
		if err := decode(body, &member); err != nil {
			return err
		}
		return checkMember(member.Node, member.Meta)
	case msgAck:
		var ack struct{ Payload []byte }
		if err := decode(body, &ack); err != nil {
			return err
		}
		return checkNested(ack.Payload, pingVersion)
	}
	return whole(body)
}

// checkMember looks at what members state of themselves, which is kept for as long as they are members.
func checkMember(name string, meta []byte) error {
	if len(name) > maxName || len(meta) > memberlist.MetaMaxSize {
		return fmt.Errorf("%w: a member with a name of %d bytes and %d bytes of tags", errScreened, len(name), len(meta))
	}
	return checkNested(meta, tagsMagic)
}

// checkNested looks at a byte that tells a kind, and the value that follows where it tells one of these.
func checkNested(b []byte, kinds ...byte) error {
	if len(b) == 0 || !slices.Contains(kinds, b[0]) {
		return nil
	}
	return whole(b[1:])
}

// whole refuses what does not begin with a whole value in MessagePack. All lengths in one that is whole are true.
func whole(b []byte) error {
	for left := int64(1); left > 0; left-- {
		var n uint32
		var err error
		switch msgp.NextType(b) {
		case msgp.MapType:
			n, b, err = msgp.ReadMapHeaderBytes(b)
			left += 2 * int64(n)
		case msgp.ArrayType:
			n, b, err = msgp.ReadArrayHeaderBytes(b)
			left += int64(n)
		default:
			b, err = msgp.Skip(b)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errScreened, err)
		}
	}
	return nil
}

// compound walks the parts. Like memberlist, it takes a truncated last part for the end.
func (w *walk) compound(b []byte, depth int) error {
	if len(b) < 1 || len(b) < 1+2*int(b[0]) {
		return errScreened
	}
	n := int(b[0])
	lengths, rest := b[1:1+2*n], b[1+2*n:]
	for i := range n {
		size := int(binary.BigEndian.Uint16(lengths[2*i:]))
		if size > len(rest) {
			return nil
		}
		if size > 0 {
			if err := w.message(rest[:size], depth); err != nil {
				return err
			}
		}
		rest = rest[size:]
	}
	return nil
}

// unpack decodes a compressed message and returns what is in it, which is never empty.
func unpack(b []byte, limit int) ([]byte, error) {
	var c struct {
		Algo uint8
		Buf  []byte
	}
	if err := decode(b, &c); err != nil {
		return nil, err
	}
	return inflate(c.Algo, c.Buf, limit)
}

func inflate(algo uint8, packed []byte, limit int) ([]byte, error) {
	if algo != 0 {
		return nil, errScreened
	}
	r := lzw.NewReader(bytes.NewReader(packed), lzw.LSB, 8)
	defer r.Close()
	plain, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(plain) == 0 || len(plain) > limit {
		return nil, errScreened
	}
	return plain, nil
}

// checkSerf looks at a message of serf's for what serf does not check.
func checkSerf(b []byte) error {
	switch {
	case len(b) == 0:
		return nil
	case b[0] == serfLeave || b[0] == serfJoin:
		var intent struct{ Node string }
		if err := decode(b[1:], &intent); err != nil {
			return err
		}
		if len(intent.Node) > maxName {
			return fmt.Errorf("%w: a name of %d bytes", errScreened, len(intent.Node))
		}
		return nil
	case b[0] == serfQuery:
		return checkQuery(b[1:])
	case b[0] == serfQueryResponse:
		var r struct{ Payload []byte }
		if err := decode(b[1:], &r); err != nil {
			return err
		}
		return checkNested(r.Payload, serfConflictResponse, serfKeyResponse)
	}
	return whole(b[1:])
}

// checkQuery refuses the queries on which serf slices an empty list, and looks at what they hold.
func checkQuery(b []byte) error {
	var q struct {
		Name    string
		Filters [][]byte
		Payload []byte
	}
	if err := decode(b, &q); err != nil {
		return err
	}
	for _, f := range q.Filters {
		if len(f) == 0 {
			return errScreened
		}
		if err := whole(f[1:]); err != nil {
			return err
		}
	}
	if strings.HasPrefix(q.Name, "_serf_") && strings.HasSuffix(q.Name, "-key") {
		if len(q.Payload) == 0 {
			return errScreened
		}
		return whole(q.Payload[1:])
	}
	return nil
}

// decode decodes a value that is whole.
func decode(b []byte, out any) error {
	if err := whole(b); err != nil {
		return err
	}
	return codec.NewDecoder(bytes.NewReader(b), &codec.MsgpackHandle{}).Decode(out)
}

// values reads values of MessagePack from a stream, in memory that grows with what has arrived.
type values struct {
	in  *msgp.Reader
	raw bytes.Buffer
}

// maxNesting is how deep values may nest; memberlist's and serf's nest four deep.
const maxNesting = 64

func newValues(in io.Reader) *values {
	v := &values{in: msgp.NewReader(in)}
	v.in.SetMaxRecursionDepth(maxNesting)
	return v
}

func (v *values) decode(out any) error {
	v.raw.Reset()
	if _, err := v.in.CopyNext(&v.raw); err != nil {
		return err
	}
	return decode(v.raw.Bytes(), out)
}

// stream reads the first message of a connection and returns what it read of it, for memberlist to read again.
func (s *screen) stream(conn net.Conn) ([]byte, error) {
	if s.sealed {
		return nil, nil
	}
	seen := &recorder{from: conn, limit: maxState}
	in := bufio.NewReader(seen)
	kind, err := in.ReadByte()
	if err != nil {
		return nil, err
	}
	err = checkStream(kind, in)
	return seen.buf.Bytes(), err
}

// recorder keeps what is read through it, up to a limit.
type recorder struct {
	from  io.Reader
	limit int
	buf   bytes.Buffer
}

// Read reads and records.
func (r *recorder) Read(b []byte) (int, error) {
	if r.buf.Len() >= r.limit {
		return 0, fmt.Errorf("%w: longer than %d bytes", errScreened, r.limit)
	}
	n, err := r.from.Read(b)
	r.buf.Write(b[:n])
	return n, err
}

// checkStream reads one message of a stream.
func checkStream(kind byte, in io.Reader) error {
	switch kind {
	case msgEncrypt, msgPing:
		return nil // memberlist bounds both
	case msgCompress:
		var c struct {
			Algo uint8
			Buf  []byte
		}
		if err := newValues(in).decode(&c); err != nil {
			return err
		}
		plain, err := inflate(c.Algo, c.Buf, min(maxState, max(maxUnpacked, maxRatio*len(c.Buf))))
		if err != nil {
			return err
		}
		if plain[0] == msgCompress {
			return errScreened
		}
		return checkStream(plain[0], bytes.NewReader(plain[1:]))
	case msgPushPull:
		return checkPushPull(in)
	case msgUser:
		return checkUser(in)
	default:
		return fmt.Errorf("%w: type %d", errScreened, kind)
	}
}

func checkUser(in io.Reader) error {
	v := newValues(in)
	var header struct{ UserMsgLen int }
	if err := v.decode(&header); err != nil {
		return err
	}
	if header.UserMsgLen < 0 || header.UserMsgLen > maxStreamUser {
		return errScreened
	}
	msg := make([]byte, header.UserMsgLen)
	if _, err := io.ReadFull(v.in.R, msg); err != nil {
		return err
	}
	return checkSerf(msg)
}

func checkPushPull(in io.Reader) error {
	v := newValues(in)
	var header struct {
		Nodes        int
		UserStateLen int
		Join         bool
	}
	if err := v.decode(&header); err != nil {
		return err
	}
	if header.Nodes < 0 || header.Nodes > maxStateMembers || header.UserStateLen < 0 || header.UserStateLen > maxState {
		return errScreened
	}
	for range header.Nodes {
		var member struct {
			Name string
			Addr []byte
			Meta []byte
			Vsn  []uint8
		}
		if err := v.decode(&member); err != nil {
			return err
		}
		if err := checkMember(member.Name, member.Meta); err != nil {
			return err
		}
		if len(member.Vsn) != memberVersions || (len(member.Addr) != 4 && len(member.Addr) != 16) {
			return fmt.Errorf("%w: member %q without versions or address", errScreened, member.Name)
		}
	}
	return checkUserState(v.in.R, int64(header.UserStateLen))
}

// checkUserState reads serf's part of a push/pull, a byte and a value. Memberlist allocates for all of it at once: a sender
// has to send it.
func checkUserState(in io.Reader, length int64) error {
	if length == 0 {
		return nil
	}
	var kind [1]byte
	if _, err := io.ReadFull(in, kind[:]); err != nil {
		return err
	}
	rest := &io.LimitedReader{R: in, N: length - 1}
	if rest.N > 0 {
		if _, err := newValues(rest).in.CopyNext(io.Discard); err != nil {
			return fmt.Errorf("%w: %w", errScreened, err)
		}
	}
	if _, err := io.Copy(io.Discard, rest); err != nil {
		return err
	}
	if rest.N > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}
