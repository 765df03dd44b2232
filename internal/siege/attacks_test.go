//go:build siege

package siege

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// An attack is one way to besiege one port.
type attack struct {
	Name    string
	Port    string // as configured
	Network string
	Address string
	Opening []byte // how a connection of the port's protocol begins
	TLS     bool   // the opening is sent through a handshake
}

// from is the address that attackers come from.
var from = net.IPv4(127, 0, 0, 66)

const (
	held        = 300     // connections of a slow loris
	connects    = 400     // a second, of a flood
	malformed   = 200     // handshakes a second
	giantRate   = 4 << 20 // bytes a second of each connection
	giants      = 4       // connections at once
	packetRate  = 3000    // a second
	packetSize  = 300     // bytes
	giantPacket = 60_000
	giantPacing = 300 // a second
)

var attacks = map[string]func(context.Context, *attack){
	"slow-loris": slowLoris, "flood": flood, "giant": giant, "bad-tls": badTLS, "packets": packets, "giant-packets": giantPackets,
}

// plan lists the attacks on a server.
func plan(server *agent) (all []*attack) {
	hello := []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	body := "PUT /v1/kv/giant HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
	event := "PUT /v1/event/fire/giant HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n"
	user := append([]byte{8, 0x81, 0xaa}, "UserMsgLen\xd3\x3f\xff\xff\xff\xff\xff\xff\xff"...) // gossip: a user's message of 2^62 bytes
	add := func(network, port string, opening []byte, secure bool, names ...string) {
		for _, name := range names {
			all = append(all, &attack{name, port, network, server.address(port), opening, secure})
		}
	}
	add("tcp", "http", []byte("GET /v1/kv/well HTTP/1.1\r\nHost: localhost\r\nX: "), false, "slow-loris", "flood", "bad-tls")
	add("tcp", "http", []byte(body), false, "giant")
	add("tcp", "https", hello, false, "slow-loris", "flood", "bad-tls")
	add("tcp", "https", []byte(event), true, "giant")
	add("tcp", "server", append([]byte{4}, hello...), false, "slow-loris", "flood", "bad-tls")
	add("tcp", "server", []byte{1, 0, 0xff, 0xff, 0xff, 0x7f}, false, "giant")
	add("tcp", "dns", []byte{0xff, 0xff, 1, 2, 1, 0, 0, 1}, false, "slow-loris", "flood", "giant", "bad-tls")
	for _, pool := range []string{"serf_lan", "serf_wan"} {
		add("tcp", pool, user, false, "slow-loris", "flood", "giant", "bad-tls")
		add("udp", pool, []byte{7, 40}, false, "packets", "giant-packets")
	}
	add("udp", "dns", []byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, false, "packets", "giant-packets")
	return all
}

// TestAttacker is the attacker: run tells a process of its own what to do.
func TestAttacker(t *testing.T) {
	text := os.Getenv("SIEGE_ATTACK")
	if text == "" {
		t.Skip("there is nothing to attack")
	}
	var a attack
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	attacks[a.Name](t.Context(), &a) // until the process is killed
}

func (a *attack) dial() (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: from}}
	if a.Network == "udp" {
		d.LocalAddr = &net.UDPAddr{IP: from}
	}
	conn, err := d.Dial(a.Network, a.Address)
	if err != nil || !a.TLS {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	return secure, secure.Handshake()
}

// often calls do some times a second.
func often(ctx context.Context, rate int, do func()) {
	ticks := time.NewTicker(time.Second / time.Duration(rate))
	defer ticks.Stop()
	for ctx.Err() == nil {
		<-ticks.C
		do()
	}
}

// slowLoris holds connections and says a byte a second on each.
func slowLoris(ctx context.Context, a *attack) {
	var running sync.WaitGroup
	text := append(bytes.Clone(a.Opening), 'x')
	for range held {
		running.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(time.Second)
				conn, err := a.dial()
				if err != nil {
					continue
				}
				for at := 0; err == nil; at++ {
					_, err = conn.Write(text[min(at, len(text)-1):][:1])
					time.Sleep(time.Second)
				}
				conn.Close()
			}
		})
	}
	running.Wait()
}

// flood opens connections and leaves them alone for a moment.
func flood(ctx context.Context, a *attack) {
	often(ctx, connects, func() {
		if conn, err := a.dial(); err == nil {
			time.AfterFunc(200*time.Millisecond, func() { conn.Close() })
		}
	})
}

// giant sends bodies without end.
func giant(ctx context.Context, a *attack) {
	var running sync.WaitGroup
	part := make([]byte, 64<<10)
	_, _ = rand.Read(part)
	for range giants {
		running.Go(func() {
			for ctx.Err() == nil {
				conn, err := a.dial()
				if err == nil {
					_, err = conn.Write(a.Opening)
				}
				for err == nil {
					time.Sleep(time.Second * time.Duration(len(part)) / giantRate)
					_, err = conn.Write(part)
				}
				if conn != nil {
					conn.Close()
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	running.Wait()
}

// badTLS sends noise behind the beginning of a handshake.
func badTLS(ctx context.Context, a *attack) {
	noise := make([]byte, 600)
	often(ctx, malformed, func() {
		conn, err := a.dial()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = rand.Read(noise)
		_, _ = conn.Write(append(a.Opening[:len(a.Opening):len(a.Opening)], noise...))
	})
}

// packets sends noise behind what may begin a packet.
func packets(ctx context.Context, a *attack) { a.pelt(ctx, packetRate, packetSize) }

// giantPackets sends the largest packets there are.
func giantPackets(ctx context.Context, a *attack) { a.pelt(ctx, giantPacing, giantPacket) }

func (a *attack) pelt(ctx context.Context, rate, size int) {
	conn, err := a.dial()
	if err != nil {
		return
	}
	defer conn.Close()
	packet := append(a.Opening, make([]byte, size)...)
	often(ctx, rate/10, func() {
		for range 10 {
			_, _ = rand.Read(packet[len(a.Opening):])
			_, _ = conn.Write(packet)
		}
	})
}
