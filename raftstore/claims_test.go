package raftstore

import (
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// Without TLS whoever reaches the port can speak Raft's protocol. What a message claims to be long takes no memory
// until it is there: this holds Raft's transport and its decoder to it.
func TestClaimedLengthsTakeNoMemory(t *testing.T) {
	str := func(s string) []byte { return append([]byte{0xa0 | byte(len(s))}, s...) }
	claims := func(lead byte) []byte { return binary.BigEndian.AppendUint32([]byte{lead}, 1<<30) }
	entry := func(field string) []byte {
		return slices.Concat([]byte{0, 0x81}, str("Entries"), []byte{0x91, 0x81}, str(field))
	}
	transport, err := raft.NewTCPTransport("127.0.0.1:0", nil, 3, 10*time.Second, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	for name, message := range map[string][]byte{
		"entries":              slices.Concat([]byte{0, 0x81}, str("Entries"), claims(0xdd)),
		"data of an entry":     slices.Concat(entry("Data"), claims(0xc6)),
		"data as extension":    slices.Concat(entry("Data"), claims(0xc9), []byte{0xff}),
		"time as extension":    slices.Concat(entry("AppendedAt"), claims(0xc9), []byte{0xff}),
		"leader":               slices.Concat([]byte{0, 0x81}, str("Leader"), claims(0xc6)),
		"leader as string":     slices.Concat([]byte{0, 0x81}, str("Leader"), claims(0xdb)),
		"unknown field":        slices.Concat([]byte{0, 0x81}, str("Nope"), claims(0xc6)),
		"unknown extension":    slices.Concat([]byte{0, 0x81}, str("Nope"), claims(0xc9), []byte{5}),
		"unknown array":        slices.Concat([]byte{0, 0x81}, str("Nope"), claims(0xdd)),
		"name of a field":      slices.Concat([]byte{0, 0x81}, claims(0xdb)),
		"fields":               slices.Concat([]byte{0}, claims(0xdf)),
		"vote":                 slices.Concat([]byte{1, 0x81}, str("Candidate"), claims(0xc6)),
		"snapshot's servers":   slices.Concat([]byte{2, 0x81}, str("Configuration"), claims(0xc6)),
		"who asks to stand":    slices.Concat([]byte{3, 0x81}, str("Addr"), claims(0xc6)),
		"vote before a vote":   slices.Concat([]byte{4, 0x81}, str("ID"), claims(0xc6)),
		"a heartbeat's leader": slices.Concat([]byte{0, 0x82}, str("Term"), []byte{1}, str("Leader"), claims(0xc6)),
	} {
		conn, err := net.Dial("tcp", string(transport.LocalAddr()))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		// The other side closes once it has seen that the message is too short.
		_, _ = io.Copy(io.Discard, conn)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
			t.Errorf("%s: %d MiB", name, took>>20)
		}
		conn.Close()
	}
}
