package health

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"lictor/catalog"
)

func off() *bool { return new(bool) }

func TestTCP(t *testing.T) {
	s := website(t)
	addr := s.Listener.Addr().String()
	expect(t, check(t, Config{}, catalog.CheckDefinition{TCP: addr}), "passing", "TCP connect "+addr+": Success")
	addr = closed(t)
	expect(t, check(t, Config{}, catalog.CheckDefinition{TCP: addr}), "critical", "dial tcp "+addr+": connect: connection refused")
	contains(t, check(t, Config{}, catalog.CheckDefinition{TCP: "no-port"}), "critical", "missing port in address")
}

func TestTCPOverTLS(t *testing.T) {
	s, agent := secure(t, http.NotFoundHandler())
	addr := s.Listener.Addr().String()
	ok := "TCP connect " + addr + ": Success"
	contains(t, check(t, Config{}, catalog.CheckDefinition{TCP: addr, TCPUseTLS: true}), "critical", "certificate")
	expect(t, check(t, Config{}, catalog.CheckDefinition{TCP: addr, TCPUseTLS: true, TLSSkipVerify: true}), "passing", ok)
	expect(t, check(t, Config{AgentTLS: func() *tls.Config { return agent }}, catalog.CheckDefinition{TCP: addr, TCPUseTLS: true, TLSServerName: "example.com"}), "passing", ok)
	plain := website(t).Listener.Addr().String()
	contains(t, check(t, Config{}, catalog.CheckDefinition{TCP: plain, TCPUseTLS: true}), "critical", "tls:")
}

func TestUDP(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := l.ReadFrom(b)
			if err != nil {
				return
			}
			l.WriteTo(b[:n], from)
		}
	}()
	addr := l.LocalAddr().String()
	expect(t, check(t, Config{}, catalog.CheckDefinition{UDP: addr}), "passing", "UDP connect "+addr+": Success")
}

func TestUDPWithoutAnswer(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.LocalAddr().String()
	d := catalog.CheckDefinition{UDP: addr, Timeout: catalog.Duration(20 * time.Millisecond)}
	contains(t, check(t, Config{}, d), "critical", "i/o timeout")
	l.Close()
	contains(t, check(t, Config{}, d), "critical", "connection refused")
}

func grpcServer(t *testing.T, opts ...grpc.ServerOption) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := grpchealth.NewServer()
	h.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	h.SetServingStatus("a/b", grpc_health_v1.HealthCheckResponse_SERVING)
	s := grpc.NewServer(opts...)
	grpc_health_v1.RegisterHealthServer(s, h)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

func TestGRPC(t *testing.T) {
	addr := grpcServer(t)
	expect(t, check(t, Config{}, catalog.CheckDefinition{GRPC: addr}), "passing", "gRPC check "+addr+": success")
	expect(t, check(t, Config{}, catalog.CheckDefinition{GRPC: addr + "/a/b"}), "passing", "gRPC check "+addr+"/a/b: success")
	expect(t, check(t, Config{}, catalog.CheckDefinition{GRPC: addr + "/down"}), "critical", "gRPC "+addr+"/down serving status: NOT_SERVING")
	expect(t, check(t, Config{}, catalog.CheckDefinition{GRPC: addr + "/none"}), "critical", "rpc error: code = NotFound desc = unknown service")
	addr = closed(t)
	contains(t, check(t, Config{}, catalog.CheckDefinition{GRPC: addr}), "critical", "dial tcp "+addr+": connect: connection refused")
}

func TestGRPCOverTLS(t *testing.T) {
	cert, agent := secure(t, http.NotFoundHandler())
	addr := grpcServer(t, grpc.Creds(credentials.NewServerTLSFromCert(&cert.TLS.Certificates[0])))
	ok := "gRPC check " + addr + ": success"
	expect(t, check(t, Config{AgentTLS: func() *tls.Config { return agent }}, catalog.CheckDefinition{GRPC: addr, GRPCUseTLS: true}), "passing", ok)
	expect(t, check(t, Config{AgentTLS: func() *tls.Config { return agent }}, catalog.CheckDefinition{GRPC: addr, GRPCUseTLS: true, TLSServerName: "example.com"}), "passing", ok)
	expect(t, check(t, Config{}, catalog.CheckDefinition{GRPC: addr, GRPCUseTLS: true, TLSSkipVerify: true}), "passing", ok)
	contains(t, check(t, Config{}, catalog.CheckDefinition{GRPC: addr, GRPCUseTLS: true}), "critical", "certificate")
}

// mute accepts connections and says nothing.
func mute(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(t.Context(), func() { c.Close() })
		}
	}()
	return l.Addr().String()
}

func TestMuteServers(t *testing.T) {
	addr, short := mute(t), catalog.Duration(30*time.Millisecond)
	contains(t, check(t, Config{}, catalog.CheckDefinition{GRPC: addr, Timeout: short}), "critical", "DeadlineExceeded")
	contains(t, check(t, Config{}, catalog.CheckDefinition{H2PING: addr, H2PingUseTLS: off(), Timeout: short}), "critical", "ping "+addr)
	contains(t, check(t, Config{}, catalog.CheckDefinition{H2PING: addr, Timeout: short}), "critical", "deadline exceeded")
	contains(t, check(t, Config{}, catalog.CheckDefinition{TCP: addr, TCPUseTLS: true, Timeout: short}), "critical", "deadline exceeded")
}

func TestH2Ping(t *testing.T) {
	plain := httptest.NewUnstartedServer(http.NotFoundHandler())
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	addr := plain.Listener.Addr().String()
	expect(t, check(t, Config{}, catalog.CheckDefinition{H2PING: addr, H2PingUseTLS: off()}), "passing", h2PingSuccess)
	contains(t, check(t, Config{}, catalog.CheckDefinition{H2PING: addr}), "critical", "") // no TLS there

	s, agent := secure(t, http.NotFoundHandler())
	addr = s.Listener.Addr().String()
	expect(t, check(t, Config{AgentTLS: func() *tls.Config { return agent }}, catalog.CheckDefinition{H2PING: addr}), "passing", h2PingSuccess)
	expect(t, check(t, Config{}, catalog.CheckDefinition{H2PING: addr, TLSSkipVerify: true}), "passing", h2PingSuccess)
	contains(t, check(t, Config{}, catalog.CheckDefinition{H2PING: addr}), "critical", "certificate")

	addr = closed(t)
	expect(t, check(t, Config{}, catalog.CheckDefinition{H2PING: addr}), "critical", "dial tcp "+addr+": connect: connection refused")
	old := strings.TrimPrefix(website(t).URL, "http://") // HTTP/1 only
	contains(t, check(t, Config{}, catalog.CheckDefinition{H2PING: old, H2PingUseTLS: off()}), "critical", "ping "+old)
}

func FuzzPing(f *testing.F) {
	var ack bytes.Buffer
	fr := http2.NewFramer(&ack, nil)
	fr.WriteSettings()
	fr.WritePing(true, [8]byte{})
	f.Add(ack.Bytes())
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		ping(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(answer), io.Discard}) // ends
	})
}
