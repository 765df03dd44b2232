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
	before := stacks()
	for range waiters {
		conn, err := net.Dial("tcp", s.HTTPAddrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/health/service/web?index=%s HTTP/1.1\r\nHost: %s\r\n\r\n", response.Header.Get("X-Consul-Index"), conn.RemoteAddr())
	}
	s.eventually("all wait for a change", func() bool { return running("lictor/view.(*entry).wait") >= waiters })
	if each := (stacks() - before) / waiters; each > 8<<10 {
		t.Errorf("a request that waits has %d bytes of stacks", each)
	}
}

// running counts the goroutines that are within a function.
func running(function string) int {
	records := make([]runtime.StackRecord, 10_000)
	n, ok := runtime.GoroutineProfile(records)
	if !ok {
		return 0
	}
	within := 0
	for _, r := range records[:n] {
		for frames, more := runtime.CallersFrames(r.Stack()), true; more; {
			var f runtime.Frame
			if f, more = frames.Next(); f.Function == function {
				within++
				break
			}
		}
	}
	return within
}

func stacks() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.StackInuse)
}
