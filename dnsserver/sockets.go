package dnsserver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// maxPacket bounds a question over UDP.
	maxPacket = 4096
	// maxConns bounds the TCP connections.
	maxConns = 4096
	// idle is how long a TCP connection may wait for its next question.
	idle = 8 * time.Second
	// socketBuffer is how much the system may hold for a slow reader or receiver.
	socketBuffer = 1 << 20
	// portTries is how often a free port is looked for that UDP and TCP can share.
	portTries = 16
)

// listen opens the sockets for one address: TCP, which no other process can share, and as many of UDP as there are
// cores.
func (s *Server) listen(address string) error {
	var err error
	for range portTries {
		if err = s.open(address); err == nil || !anyPort(address) {
			return err
		}
	}
	return err
}

func anyPort(address string) bool {
	_, port, _ := net.SplitHostPort(address)
	return port == "0"
}

func (s *Server) open(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	var opened []*net.UDPConn
	lc := net.ListenConfig{Control: sharePort}
	for range sockets() {
		p, err := lc.ListenPacket(s.ctx, "udp", l.Addr().String())
		if err != nil {
			l.Close()
			for _, c := range opened {
				c.Close()
			}
			return err
		}
		c := p.(*net.UDPConn)
		c.SetReadBuffer(socketBuffer)
		c.SetWriteBuffer(socketBuffer)
		opened = append(opened, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tcp, s.udp = append(s.tcp, l), append(s.udp, opened...)
	return nil
}

func sockets() int {
	if !canShare {
		return 1
	}
	return min(runtime.GOMAXPROCS(0), 16)
}

// readUDP answers what it can from what is packed and has the rest answered aside. Stop ends it.
func (s *Server) readUDP(c *net.UDPConn) {
	defer s.running.Done()
	if c.LocalAddr().(*net.UDPAddr).IP.IsUnspecified() {
		s.readAny(c)
		return
	}
	packet, out := make([]byte, maxPacket), make([]byte, 0, maxTCP)
	for {
		n, from, err := c.ReadFromUDPAddrPort(packet)
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if b, ok := s.fast(packet[:n], false, out[:0]); ok {
			c.WriteToUDPAddrPort(b, from)
			s.noteUDP(packet[:n], b, from)
			continue
		}
		s.aside(packet[:n], from, func(b []byte) { c.WriteToUDPAddrPort(b, from) })
	}
}

// readAny is readUDP for a socket that is bound to no address: answers must come from the one that was asked.
func (s *Server) readAny(c *net.UDPConn) {
	ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	packet, out, oob := make([]byte, maxPacket), make([]byte, 0, maxTCP), make([]byte, 256)
	for {
		n, m, _, from, err := c.ReadMsgUDPAddrPort(packet, oob)
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		source := askedAt(oob[:m])
		if b, ok := s.fast(packet[:n], false, out[:0]); ok {
			c.WriteMsgUDPAddrPort(b, source, from)
			s.noteUDP(packet[:n], b, from)
			continue
		}
		s.aside(packet[:n], from, func(b []byte) { c.WriteMsgUDPAddrPort(b, source, from) })
	}
}

// askedAt makes the control message that sends from the address that a packet came to.
func askedAt(oob []byte) []byte {
	six := new(ipv6.ControlMessage)
	if six.Parse(oob) == nil && six.Dst != nil {
		if six.Dst.To4() != nil {
			return (&ipv4.ControlMessage{Src: six.Dst}).Marshal()
		}
		return (&ipv6.ControlMessage{Src: six.Dst, IfIndex: six.IfIndex}).Marshal()
	}
	four := new(ipv4.ControlMessage)
	if four.Parse(oob) == nil && four.Dst != nil {
		return (&ipv4.ControlMessage{Src: four.Dst}).Marshal()
	}
	return nil
}

// aside answers in a goroutine of its own, which Stop waits for. If too many are at it the question is dropped.
func (s *Server) aside(packet []byte, from netip.AddrPort, send func([]byte)) {
	select {
	case s.slots <- struct{}{}:
	default:
		return
	}
	packet = slices.Clone(packet)
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		defer func() { <-s.slots }()
		if b := s.answer(asking(s.ctx, net.UDPAddrFromAddrPort(from)), packet, false); b != nil {
			send(b)
			s.noteUDP(packet, b, from)
		}
	}()
}

// accept takes TCP connections. Stop ends it.
func (s *Server) accept(l net.Listener) {
	defer s.running.Done()
	for {
		c, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.Log.Warn("failed to accept a DNS connection", "error", err)
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		s.mu.Lock()
		full := len(s.conns) >= maxConns || s.ctx.Err() != nil
		if !full {
			s.conns[c] = true
			s.running.Add(1)
			go s.serveTCP(s.ctx, c)
		}
		s.mu.Unlock()
		if full {
			c.Close()
		}
	}
}

// serveTCP answers the questions of one connection, one after the other. The connection ends when the asker leaves,
// says nothing for a while or sends what is no question.
func (s *Server) serveTCP(ctx context.Context, c net.Conn) {
	defer s.running.Done()
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	var size [2]byte
	packet := make([]byte, maxPacket)
	for {
		c.SetDeadline(time.Now().Add(idle))
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(size[:]))
		if n > maxPacket {
			return
		}
		if _, err := io.ReadFull(c, packet[:n]); err != nil {
			return
		}
		out := s.frame(asking(ctx, c.RemoteAddr()), packet[:n])
		if out == nil {
			return
		}
		s.note(packet[:n], out[2:], c.RemoteAddr())
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// frame answers a question that came over TCP, with the length in front; nil means that there is nothing to say.
func (s *Server) frame(ctx context.Context, packet []byte) []byte {
	out, ok := s.fast(packet, true, make([]byte, 2, minSize))
	if !ok {
		b := s.answer(ctx, packet, true)
		if b == nil {
			return nil
		}
		out = append(out, b...)
	}
	binary.BigEndian.PutUint16(out, uint16(len(out)-2))
	return out
}
