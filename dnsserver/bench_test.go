package dnsserver

import (
	"context"
	"net"
	"testing"
)

func benchPacket(b *testing.B, qtype string) (*Server, []byte) {
	b.Helper()
	s := New(Config{Lookup: crowd(5, 0, false), Datacenter: "dc1", Settings: Defaults()})
	packet, err := question("big.service.consul", qtype).Pack()
	if err != nil {
		b.Fatal(err)
	}
	s.answer(context.Background(), packet, false)
	return s, packet
}

func BenchmarkPacked(b *testing.B) {
	for _, qtype := range []string{"A", "SRV"} {
		b.Run(qtype, func(b *testing.B) {
			s, packet := benchPacket(b, qtype)
			out := make([]byte, 0, 4096)
			for b.Loop() {
				if _, ok := s.fast(packet, false, out[:0]); !ok {
					s.answer(context.Background(), packet, false)
				}
			}
		})
	}
}

func BenchmarkResolved(b *testing.B) {
	for _, qtype := range []string{"A", "SRV"} {
		b.Run(qtype, func(b *testing.B) {
			s, packet := benchPacket(b, qtype)
			for b.Loop() {
				s.answer(context.Background(), packet, false)
			}
		})
	}
}

func BenchmarkUDP(b *testing.B) {
	s, packet := benchPacket(b, "SRV")
	if err := s.Start("127.0.0.1:0"); err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("udp", s.Addrs()[0].String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		in := make([]byte, 4096)
		for pb.Next() {
			c.Write(packet)
			if _, err := c.Read(in); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
