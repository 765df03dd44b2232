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
	"strings"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"golang.org/x/time/rate"
)

// The screen stands between the network and memberlist. memberlist trusts lengths and indexes in messages whose sender
// it does not know, and serf those inside: a user message of 2^62 bytes, a member without versions, an empty compressed
// message, a query with an empty filter each end the process, and a few bytes can unpack to a hundred megabytes. So on
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
	msgPushPull     = 6
	msgCompound     = 7
	msgUser         = 8
	msgCompress     = 9
	msgEncrypt      = 10
	msgCRC          = 12
)

// serfQuery is the type of the one message of serf's that needs a look. A relayed message is no exception: it goes on
// to another member, which screens it for itself.
const serfQuery = 4

const (
	// maxDepth is how deep messages may be wrapped in each other; memberlist itself wraps three deep.
	maxDepth = 6
	// maxUnpacked bounds what one packet unpacks to, maxState what one stream does.
	maxUnpacked = 1 << 20
	maxState    = 24 << 20
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
	if err := decode(bytes.NewReader(b), &c); err != nil {
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
	if len(b) > 0 && b[0] == serfQuery {
		return checkQuery(b[1:])
	}
	return nil
}

// checkQuery refuses the queries on which serf slices an empty list.
func checkQuery(b []byte) error {
	var q struct {
		Name    string
		Filters [][]byte
		Payload []byte
	}
	if err := decode(bytes.NewReader(b), &q); err != nil {
		return err
	}
	for _, f := range q.Filters {
		if len(f) == 0 {
			return errScreened
		}
	}
	if strings.HasPrefix(q.Name, "_serf_") && strings.HasSuffix(q.Name, "-key") && len(q.Payload) == 0 {
		return errScreened
	}
	return nil
}

func decode(r io.Reader, out any) error {
	return codec.NewDecoder(r, &codec.MsgpackHandle{}).Decode(out)
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
		if err := decode(in, &c); err != nil {
			return err
		}
		plain, err := inflate(c.Algo, c.Buf, maxState)
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
	dec := codec.NewDecoder(in, &codec.MsgpackHandle{})
	var header struct{ UserMsgLen int }
	if err := dec.Decode(&header); err != nil {
		return err
	}
	if header.UserMsgLen < 0 || header.UserMsgLen > maxStreamUser {
		return errScreened
	}
	msg := make([]byte, header.UserMsgLen)
	if _, err := io.ReadFull(in, msg); err != nil {
		return err
	}
	return checkSerf(msg)
}

func checkPushPull(in io.Reader) error {
	dec := codec.NewDecoder(in, &codec.MsgpackHandle{})
	var header struct {
		Nodes        int
		UserStateLen int
		Join         bool
	}
	if err := dec.Decode(&header); err != nil {
		return err
	}
	if header.Nodes < 0 || header.Nodes > maxStateMembers || header.UserStateLen < 0 || header.UserStateLen > maxState {
		return errScreened
	}
	for range header.Nodes {
		var member struct {
			Name string
			Addr []byte
			Vsn  []uint8
		}
		if err := dec.Decode(&member); err != nil {
			return err
		}
		if len(member.Vsn) != memberVersions || (len(member.Addr) != 4 && len(member.Addr) != 16) {
			return fmt.Errorf("%w: member %q without versions or address", errScreened, member.Name)
		}
	}
	// The rest is read by memberlist, which allocates for all of it at once: a sender has to send it.
	_, err := io.CopyN(io.Discard, in, int64(header.UserStateLen))
	return err
}
