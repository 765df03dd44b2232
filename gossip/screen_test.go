package gossip

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"

	"lictor/internal/fakenet"
)

// message encodes a message as memberlist and serf do.
func message(kind byte, bodies ...any) []byte {
	buf := bytes.NewBuffer([]byte{kind})
	for _, body := range bodies {
		if raw, ok := body.([]byte); ok {
			buf.Write(raw)
			continue
		}
		if err := codec.NewEncoder(buf, &codec.MsgpackHandle{}).Encode(body); err != nil {
			panic(err)
		}
	}
	return buf.Bytes()
}

func compressed(plain []byte) []byte {
	var buf bytes.Buffer
	w := lzw.NewWriter(&buf, lzw.LSB, 8)
	w.Write(plain)
	w.Close()
	return message(msgCompress, map[string]any{"Algo": 0, "Buf": buf.Bytes()})
}

func compound(parts ...[]byte) []byte {
	out := []byte{msgCompound, byte(len(parts))}
	for _, p := range parts {
		out = binary.BigEndian.AppendUint16(out, uint16(len(p)))
	}
	return append(out, bytes.Join(parts, nil)...)
}

func query(name string, payload []byte, filters ...[]byte) []byte {
	body := message(serfQuery, map[string]any{
		"LTime": 1 << 40, "ID": 1, "Name": name, "Payload": payload, "Filters": filters, "Timeout": int64(time.Second),
	})
	return message(msgUser, body)
}

func state(nodes, user int, members ...any) []byte {
	header := map[string]any{"Nodes": nodes, "UserStateLen": user, "Join": true}
	return message(msgPushPull, append([]any{header}, members...)...)
}

func stateMember(vsn []byte) any {
	return map[string]any{"Name": "evil", "Addr": []byte{1, 2, 3, 4}, "Port": 1, "Vsn": vsn}
}

func intent(kind byte, name string) []byte {
	return message(msgUser, message(kind, map[string]any{"LTime": 1, "Node": name}))
}

// killers are messages that would end the process, or fill its memory, without the screen.
func killers() (packets, streams map[string][]byte) {
	long := []byte{0x81, 0xa1, 'x', 0xc9, 0xf0, 0, 0, 0, 0xff} // {"x": an extension of 4 GB}
	bomb := compressed(make([]byte, 64<<20))
	packets = map[string][]byte{
		"empty filter":         query("x", nil, []byte{}),
		"key query of nothing": query("_serf_install-key", nil),
		"wrapped key query":    compound([]byte{msgPing}, compressed(query("_serf_use-key", nil))),
		"bomb":                 compressed(make([]byte, 8<<20)),
		"nothing compressed":   compressed(nil),
		// Each name is kept for five minutes.
		"long intent to leave":    compressed(intent(serfLeave, strings.Repeat("x", 60000))),
		"long intent to join":     intent(serfJoin, strings.Repeat("x", maxName+1)),
		"more than a packet":      compressed(message(msgUser, message(3, map[string]any{"Name": strings.Repeat("x", maxUnpacked)}))),
		"member with a long name": message(msgAlive, map[string]any{"Node": strings.Repeat("x", maxName+1)}),
		"member with long tags":   message(msgAlive, map[string]any{"Node": "x", "Meta": make([]byte, memberlist.MetaMaxSize+1)}),
	}
	for name, b := range map[string][]byte{
		"ping": message(msgPing, long), "ack": message(msgAck, long), "suspicion": message(3, long), "tags": message(msgAlive, map[string]any{"Meta": append([]byte{255}, long...)}),
		"place": message(msgAck, map[string]any{"Payload": append([]byte{1}, long...)}), "event": message(msgUser, append([]byte{3}, long...)),
		"query": message(msgUser, append([]byte{serfQuery}, long...)), "filter": query("x", nil, append([]byte{0}, long...)),
		"key": query("_serf_use-key", append([]byte{7}, long...)), "answer": message(msgUser, message(serfQueryResponse, map[string]any{"Payload": append([]byte{serfKeyResponse}, long...)})),
	} {
		packets["endless extension in "+name] = b
	}
	streams = map[string][]byte{
		"nothing compressed":  compressed(nil),
		"bomb":                bomb,
		"endless user":        message(msgUser, map[string]any{"UserMsgLen": int64(1) << 62}),
		"negative user":       message(msgUser, map[string]any{"UserMsgLen": -1}),
		"user with query":     append(message(msgUser, map[string]any{"UserMsgLen": len(query("x", nil, []byte{})) - 1}), query("x", nil, []byte{})[1:]...),
		"no versions":         state(1, 0, stateMember(nil)),
		"three versions":      state(1, 0, stateMember([]byte{1, 5, 2})),
		"endless members":     state(1<<30, 0),
		"negative members":    state(-1, 0),
		"endless state":       state(0, 1<<30),
		"compressed members":  compressed(state(1, 0, stateMember(nil))),
		"compressed endless":  compressed(message(msgUser, map[string]any{"UserMsgLen": int64(1) << 62})),
		"compressed nested":   compressed(compressed([]byte{msgPing})),
		"compressed too well": compressed(append(state(0, 1<<20), message(2, map[string]any{"LeftMembers": []string{strings.Repeat("x", 1<<20)}})[:1<<20]...)),
		"a long name":         state(1, 0, map[string]any{"Name": strings.Repeat("x", maxName+1), "Addr": []byte{1, 2, 3, 4}, "Vsn": []byte{1, 5, 2, 2, 5, 4}}),
		"label":               {244, 1, 'x', msgPing},
		"unknown":             {99, 1, 2, 3},
		"endless extension":   message(msgPushPull, long),
		"and compressed":      message(msgCompress, long),
		"endless tags":        state(1, 0, map[string]any{"Name": "evil", "Addr": []byte{1, 2, 3, 4}, "Meta": append([]byte{255}, long...), "Vsn": []byte{1, 5, 2, 2, 5, 4}}),
		"endless serf":        append(state(0, 1+len(long)), append([]byte{2}, long...)...),
		"deep":                message(msgPushPull, bytes.Repeat([]byte{0x91}, 1000), []byte{0xc0}),
		"members without end": message(msgPushPull, []byte{0xdf, 0xff, 0xff, 0xff, 0xff}),
	}
	return packets, streams
}

func TestScreenRefusesKillers(t *testing.T) {
	s := newScreen(false)
	packets, streams := killers()
	for name, b := range packets {
		if s.packet(b) {
			t.Errorf("packet %q passes", name)
		}
	}
	for name, b := range streams {
		if _, err := s.stream(newBytesConn(b)); err == nil {
			t.Errorf("stream %q passes", name)
		}
	}
}

func TestScreenPassesWhatMembersSend(t *testing.T) {
	s := newScreen(false)
	ping := message(msgPing, map[string]any{"SeqNo": 1, "Node": "n"})
	for name, b := range map[string][]byte{
		"ping": ping, "compound": compound(ping, query("q", []byte("x"))), "query": query("_serf_list-keys", message(7, map[string]any{"Key": ""})),
		"deep": append([]byte{msgCRC, 0, 0, 0, 0}, compressed(compound(ping, query("_serf_ping", nil)))...),
	} {
		if !s.packet(b) {
			t.Errorf("packet %q is refused", name)
		}
	}
	vsn := []byte{1, 5, 2, 2, 5, 4}
	for name, b := range map[string][]byte{
		"ping": ping, "compressed": compressed(state(1, 3, stateMember(vsn), []byte("abc"))),
		"state": state(1, 3, stateMember(vsn), []byte("abc")), "sealed": {msgEncrypt, 1, 2},
	} {
		head, err := s.stream(newBytesConn(b))
		if err != nil || !bytes.HasPrefix(b, head) || len(head) == 0 {
			t.Errorf("stream %q: %v", name, err)
		}
	}
}

func TestScreenBoundsIndirectPings(t *testing.T) {
	s := newScreen(false)
	passed := 0
	for range 100_000 {
		if s.packet(message(msgIndirectPing, map[string]any{"SeqNo": 1, "Node": "n"})) {
			passed++
		}
	}
	if passed < relayBurst || passed > 5*relayBurst {
		t.Errorf("%d indirect pings passed", passed)
	}
}

// bytesConn is a connection from which bytes come and that takes all.
type bytesConn struct {
	io.Reader
}

func newBytesConn(b []byte) net.Conn { return bytesConn{bytes.NewReader(b)} }

func (bytesConn) Write(b []byte) (int, error)      { return len(b), nil }
func (bytesConn) Close() error                     { return nil }
func (bytesConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (bytesConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(10, 9, 9, 9), Port: 9} }
func (bytesConn) SetDeadline(time.Time) error      { return nil }
func (bytesConn) SetReadDeadline(time.Time) error  { return nil }
func (bytesConn) SetWriteDeadline(time.Time) error { return nil }

// target is a pool that takes what the fuzzer makes.
func target(f *testing.F) *netTransport {
	cfg := simConfig(1)
	cfg.Network, cfg.BindAddr = fakenet.New(1).Host(simHost(1)), simHost(1)
	p, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	if err := p.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Stop() })
	return p.conf.MemberlistConfig.Transport.(*netTransport)
}

func FuzzPacket(f *testing.F) {
	packets, _ := killers()
	for name, b := range packets {
		if name != "bomb" {
			f.Add(b)
		}
	}
	for kind := range byte(14) {
		f.Add([]byte{kind, 0x80})
	}
	f.Add(message(4, map[string]any{"Incarnation": 1, "Node": "x", "Addr": []byte{1, 2, 3, 4}, "Port": 1, "Meta": []byte{255, 0x80}, "Vsn": []byte{1, 5, 2, 2, 5, 4}}))
	f.Add(compound(query("q", []byte("p"), []byte{0, 0x90}, []byte{1, 0x80})))
	to := target(f)
	s := &screen{relays: newScreen(false).relays}
	from := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.9.9.9:9"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s.packet(b) {
			to.packets <- &memberlist.Packet{Buf: bytes.Clone(b), From: from, Timestamp: time.Now()}
		}
	})
}

func FuzzStream(f *testing.F) {
	_, streams := killers()
	for name, b := range streams {
		if name != "bomb" {
			f.Add(b)
		}
	}
	f.Add(state(1, 3, stateMember([]byte{1, 5, 2, 2, 5, 4}), []byte("\x02\x80\x00")))
	to := target(f)
	s := newScreen(false)
	f.Fuzz(func(t *testing.T, b []byte) {
		in := newBytesConn(b)
		head, err := s.stream(in)
		if err == nil {
			to.streams <- bytesConn{io.MultiReader(bytes.NewReader(head), in)}
		}
	})
}
