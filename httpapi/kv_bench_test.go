package httpapi

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lictor/rpc"
)

// yes answers every call with true.
type yes struct{}

func (yes) Call(_ context.Context, _ rpc.Header, _ string, _, reply any) error {
	*reply.(*bool) = true
	return nil
}

// BenchmarkPut is what a write costs without the log: the client is as cheap as can be.
func BenchmarkPut(b *testing.B) {
	srv := httptest.NewServer(New(Config{Caller: yes{}, Datacenter: "dc1", Log: slog.New(slog.DiscardHandler)}))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := []byte("PUT /v1/kv/bench/1/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 128\r\n\r\n" + strings.Repeat("v", 128))
	in := bufio.NewReader(conn)
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for range b.N {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		n, err := in.Read(answer) // one answer is one write
		if err != nil || !strings.HasSuffix(string(answer[:n]), "\r\n\r\ntrue") {
			b.Fatalf("%q, %v", answer[:n], err)
		}
	}
}

// An answer tells its length, for HEAD as well, and however large it is.
func TestLengthOfAnswers(t *testing.T) {
	for _, size := range []int{0, 1, compressFrom - 1, compressFrom, 100_000} {
		body := make([]byte, size)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { send(w, r, body) }))
		for _, method := range []string{"GET", "HEAD"} {
			req, err := http.NewRequest(method, srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept-Encoding", "identity")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.ContentLength != int64(size) || method == "GET" && len(got) != size {
				t.Errorf("%s of %d bytes: %d of %d, %v", method, size, len(got), res.ContentLength, err)
			}
		}
		srv.Close()
	}
}
