//go:build !race

package agent

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"testing"
)

// A goroutine's stack doubles when it is full. The frames from net/http to view fit into 4 KiB by little: one that grows by
// a hundred bytes costs every request that waits another 4 KiB, which this test notices.
func TestWaitingRequestsHaveSmallStacks(t *testing.T) {
	const waiters = 400
	s := start(t, t.TempDir(), `limits { http_max_conns_per_client = 1000 }`)
	s.put("/v1/agent/service/register", `{"Name":"web"}`)
	s.eventually("the service is in the catalog", func() bool { return s.get("/v1/health/service/web") != "[]" })
	response, err := http.Get(s.url("/v1/health/service/web"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	before, goroutines := stacks(), runtime.NumGoroutine()
	for range waiters {
		conn, err := net.Dial("tcp", s.HTTPAddrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/health/service/web?index=%s HTTP/1.1\r\nHost: %s\r\n\r\n", response.Header.Get("X-Consul-Index"), conn.RemoteAddr())
	}
	s.eventually("all are read from by a second goroutine, as the library does while a handler runs", func() bool {
		return runtime.NumGoroutine() >= goroutines+2*waiters
	})
	if each := (stacks() - before) / waiters; each > 8<<10 {
		t.Errorf("a request that waits has %d bytes of stacks", each)
	}
}

func stacks() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.StackInuse)
}
