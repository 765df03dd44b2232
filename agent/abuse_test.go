package agent

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"lictor/httpapi"
	"lictor/kvreplication"
	"lictor/replica"
	"lictor/rpc"
)

// serves fails the test unless the agent still does its work: this is asked after each abuse.
func (s *subject) serves() {
	s.t.Helper()
	s.put("/v1/kv/well", "yes")
	if got := s.get("/v1/kv/well?raw"); got != "yes" {
		s.t.Fatalf("the agent does not work any more: %s", got)
	}
	if strings.Contains(s.log.String(), "panic") {
		s.t.Fatalf("something panicked:\n%s", s.log)
	}
}

// bad are bodies that nobody should send.
func bad() map[string]string {
	garbage := make([]byte, 4096)
	rand.Read(garbage)
	deep := strings.Repeat(`{"Service":[`, 15_000)
	return map[string]string{
		"empty": "", "null": "null", "object": "{", "array": "[", "no keys": "{}", "no items": "[]", "text": `"x"`, "number": "1e999", "true": "true",
		"list of nulls": "[null, null]", "list of empties": "[{}, {}]", "garbage": string(garbage), "not UTF-8": "{\"Name\": \"\xff\xfe\"}",
		"deep": deep, "deep and closed": strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"all null":     `{"Name":null,"ID":null,"Node":null,"Service":null,"Check":null,"Checks":[null],"Tags":null,"Meta":null,"Weights":null,"Proxy":null,"Connect":null,"TaggedAddresses":null,"Coord":null,"Status":null,"LockDelay":null}`,
		"nulls within": `{"Name":"a","Node":"a","Address":"b","Service":{"Service":"a","Tags":[null],"Meta":{"a":null},"TaggedAddresses":{"x":null},"Proxy":{"Upstreams":[null],"Expose":{"Paths":[null]}},"Connect":{"SidecarService":null}},"Checks":[null,{}],"Coord":{"Vec":null}}`,
		"nulls in ops": `[{"KV":null},{"Node":null},{"Service":{"Service":null}},{"Check":{"Check":null}},{"Session":null},{}]`,
		"twice":        `{"Name":"a","Name":"b","name":"c","ID":"d","id":"e"}`,
		"wrong types":  `{"Name":[1],"Node":{},"Service":"x","Check":7,"Checks":{},"Tags":"x","Meta":[],"Coord":"x","Weights":"x"}`,
		"long":         `{"Name":"` + strings.Repeat("x", 200_000) + `"}`,
		"negative":     `{"Name":"a","Port":-1,"Check":{"TTL":"-5s"},"Weights":{"Passing":-1,"Warning":99999999},"TTL":"-1s","Interval":"-1ns"}`,
		"huge numbers": `{"Name":"a","Port":99999999999999999999,"TTL":1e300,"Check":{"Interval":9223372036854775807,"TCP":"x:1"}}`,
		"NUL":          `{"Name":"a\u0000b","ID":"\u0000","Node":"\u0000","Address":"\u0000","Service":{"Service":"\u0000","ID":"\u0000"},"Check":{"CheckID":"\u0000","Name":"x"}}`,
	}
}

// Whatever is sent, each path answers, in time, and goes on doing so.
func TestBadBodies(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	s.http.Transport = &http.Transport{} // which keeps connections, so that the agent reads bodies that it has no use for
	bodies := bad()
	bodies["cut short"] = `{"Name": "web", "Tags": ["a", "b"], "Check": {"TTL": "1`
	for _, e := range httpapi.Endpoints() {
		path := e.Path
		if strings.HasSuffix(path, "/") {
			path += "x"
		}
		for _, method := range e.Methods {
			if method == "GET" || method == "DELETE" || path == "/v1/agent/leave" || path == "/v1/agent/reload" || path == "/v1/agent/join/x" {
				continue
			}
			for name, body := range bodies {
				got := s.request(method, path, body)
				if got.status == http.StatusInternalServerError && strings.Contains(got.body, "internal error") {
					t.Errorf("%s %s, %s: %s", method, path, name, got.body)
				}
				if got.status != http.StatusOK && got.body == "" {
					t.Errorf("%s %s, %s: %d without a word", method, path, name, got.status)
				}
			}
		}
	}
	s.serves()
}

// An endless body is refused at its limit, whatever length it claims: what is read of it stays in bounds.
func TestEndlessBodies(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	const enough = 64 << 20
	for _, path := range []string{"/v1/kv/a", "/v1/txn", "/v1/agent/service/register", "/v1/agent/check/register", "/v1/agent/check/update/x", "/v1/catalog/register",
		"/v1/catalog/deregister", "/v1/coordinate/update", "/v1/session/create", "/v1/event/fire/x"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		conn := s.dial()
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", path)
		chunk := []byte("10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n")
		sent := 0
		var err error
		for err == nil && sent < enough {
			var n int
			n, err = conn.Write(chunk)
			sent += n
		}
		answer, _ := http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		runtime.ReadMemStats(&after)
		if sent >= enough {
			t.Errorf("%s takes %d bytes and more", path, sent)
		}
		if answer != nil && answer.StatusCode != http.StatusRequestEntityTooLarge && answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s answers %s", path, answer.Status)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 48<<20 {
			t.Errorf("%s has allocated %d bytes", path, grown)
		}
	}
	s.serves()
}

func (s *subject) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.HTTPAddrs()[0].String())
	if err != nil {
		s.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func TestTooLargeBodies(t *testing.T) {
	s := start(t, t.TempDir())
	value := strings.Repeat("v", 512<<10)
	s.put("/v1/kv/a", value)
	for path, body := range map[string]string{
		"/v1/kv/a":                   value + "v",
		"/v1/txn":                    `[{"KV":{"Verb":"set","Key":"` + value + `"}}]`,
		"/v1/agent/service/register": `{"Name":"` + strings.Repeat("x", 5<<20) + `"}`,
		"/v1/catalog/register":       `{"Node":"` + strings.Repeat("x", 5<<20) + `"}`,
		"/v1/session/create":         `{"Name":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		for _, chunked := range []bool{false, true} {
			var reader io.Reader = strings.NewReader(body)
			if chunked {
				reader = io.MultiReader(reader) // hides the length
			}
			request, err := http.NewRequest("PUT", s.url(path), reader)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := s.http.Do(request)
			if err != nil { // the agent hangs up on who goes on sending
				continue
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s, chunked %v: %s", path, chunked, answer.Status)
			}
		}
	}
	if got := s.get("/v1/kv/a?raw"); got != value {
		t.Error("a value that is too large has replaced one")
	}
	s.serves()
}

// A length that is not the truth harms nobody but who claims it.
func TestLyingLengths(t *testing.T) {
	s := start(t, t.TempDir())
	for name, c := range map[string]struct{ head, body string }{
		"too long":   {"Content-Length: 1000", "short"},
		"negative":   {"Content-Length: -1", "x"},
		"enormous":   {"Content-Length: 9223372036854775807", "x"},
		"overflow":   {"Content-Length: 99999999999999999999999", "x"},
		"two":        {"Content-Length: 1\r\nContent-Length: 2", "xy"},
		"both":       {"Content-Length: 3\r\nTransfer-Encoding: chunked", "1\r\nx\r\n0\r\n\r\n"},
		"bad chunk":  {"Transfer-Encoding: chunked", "zz\r\nx\r\n"},
		"huge chunk": {"Transfer-Encoding: chunked", "7fffffffffffffff\r\nx\r\n"},
		"unfinished": {"Transfer-Encoding: chunked", "5\r\nhe"},
	} {
		conn := s.dial().(*net.TCPConn)
		fmt.Fprintf(conn, "PUT /v1/kv/liar HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n%s", c.head, c.body)
		conn.CloseWrite()
		if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && answer.StatusCode == http.StatusOK && name != "both" {
			t.Errorf("%s: is taken", name)
		}
		conn.Close()
	}
	if status, _ := s.ask("GET", "/v1/kv/liar", ""); status != http.StatusNotFound {
		if got := s.get("/v1/kv/liar?raw"); got != "x" {
			t.Errorf("half a value was stored: %q", got)
		}
	}
	s.serves()
}

// Nor do lengths that are claimed on the port of servers, by whoever speaks there: nothing is made room for that is not sent.
func TestLyingMessages(t *testing.T) {
	s := start(t, t.TempDir())
	lists := map[string][]string{fetchMethod: {"q"}, followMethod: {"q", "o"}, kvreplication.FollowMethod: {"Exclude"}, replica.ListMethod.Name: {"Kinds"}, replica.FetchMethod.Name: {"Keys"}}
	const claimed = 1 << 24
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for method, fields := range lists {
		for _, field := range fields {
			for _, claim := range [][]byte{msgp.AppendArrayHeader(nil, claimed), msgp.AppendMapHeader(nil, claimed), {0xdb, 1, 0, 0, 0}, {0xc6, 1, 0, 0, 0}} {
				r := &rpc.Request{Method: method, Args: append(msgp.AppendString([]byte{0x81}, field), claim...), Peer: rpc.Peer{Server: true}}
				if _, err := s.server.Answer(within(t), r); err == nil {
					t.Errorf("%s, %s: %x is answered", method, field, claim)
				}
				if err := s.server.Stream(within(t), r, func([]byte) error { return nil }); err == nil {
					t.Errorf("%s, %s: %x is followed", method, field, claim)
				}
			}
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > claimed {
		t.Errorf("%d MiB were made room for", took>>20)
	}
	s.serves()
}

// Names are opaque: none leads to another path than the one it stands in, whatever it is made of.
func TestAbsurdPaths(t *testing.T) {
	s := start(t, t.TempDir(), `http_config { block_endpoints = ["/v1/agent/self"] }`)
	for _, path := range []string{
		"/v1/kv/../agent/self", "/v1/kv/%2e%2e/agent/self", "/v1/kv/..%2fagent/self", "/v1/kv/%2e%2e%2fagent%2fself", "//v1/agent/self", "/v1//agent/self",
		"/v1/./agent/self", "/v1/agent//self", "/v1/agent/self/", "/V1/agent/self", "/v1/agent/self%00", "/v1/agent/self;x", "/v1%2fagent%2fself", "/v1/agent/%73elf",
		"/v1/kv/..", "/v1/kv/%2e", "/v1/kv/\\..\\..", "/%2f/v1/agent/self", "http://x/v1/agent/self", "/v1/agent/self?x=%zz",
		"/v1/kv/" + strings.Repeat("a", 8<<10), "/v1/kv/" + strings.Repeat("%2f", 4<<10), "/v1/kv/%ff%fe", "/v1/kv/%e2%80%ae", "/v1/kv/a%0d%0aX-Injected:%20yes", "/v1/kv/%00", "*", "",
		"/v1/catalog/service/" + strings.Repeat("é", 2<<10), "/v1/health/state/%00", "/v1/session/info/%00", "/v1/agent/service/%00",
	} {
		for _, method := range []string{"GET", "PUT", "DELETE", "CONNECT"} {
			conn := s.dial().(*net.TCPConn)
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", method, path)
			conn.CloseWrite()
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("%s %.80q: %v", method, path, err)
				continue
			}
			body, _ := io.ReadAll(answer.Body)
			conn.Close()
			if answer.Header.Get("X-Injected") != "" || strings.Contains(string(body), "DebugConfig") {
				t.Errorf("%s %.80q gets through: %.200s", method, path, body)
			}
			if answer.StatusCode == http.StatusInternalServerError && !strings.Contains(path, "%zz") {
				t.Errorf("%s %.80q: 500 %.200s", method, path, body)
			}
		}
	}
	s.serves()
}

func TestAbsurdParameters(t *testing.T) {
	s := start(t, t.TempDir())
	s.put("/v1/agent/service/register", `{"Name": "web"}`)
	s.put("/v1/kv/a", "1")
	long := strings.Repeat("x", 16<<10)
	for _, path := range []string{"/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/service/web", "/v1/health/service/web", "/v1/health/state/any", "/v1/kv/a", "/v1/kv/?recurse", "/v1/agent/services",
		"/v1/agent/checks", "/v1/agent/members", "/v1/agent/service/web", "/v1/coordinate/nodes", "/v1/session/list", "/v1/operator/usage", "/v1/event/list"} {
		mark := "?"
		if strings.Contains(path, "?") {
			mark = "&"
		}
		for _, q := range []string{
			"index=-1", "index=99999999999999999999", "index=1&wait=1ns", "wait=abc&index=1", "index=x", "stale&consistent", "max_stale=x", "near=" + long, "dc=" + long, "dc=%00", "dc=..%2f",
			"filter=" + strings.Repeat("(", 9000), "filter=" + strings.Repeat("not%20", 9000) + "a==b", "filter=" + long, "filter=%00", "filter=Node==%22" + long + "%22",
			"filter=" + strings.Repeat("Node==a%20or%20", 1000) + "Node==a", "filter=Node%20matches%20%22(a*)*(a*)*b%22", "filter=Node%20matches%20%22((((a{100}){100}){100}){100})%22",
			"node-meta=" + long, "node-meta=:", "node-meta=a:b&node-meta=c:d", "tag=" + long, "tag=", "passing=maybe", "separator=" + long + "&keys", "hash=" + long, "ns=x", "partition=x", "%zz", "a=%", "a;b=c", "pretty=" + long, "segment=" + long,
		} {
			began := time.Now()
			got := s.request("GET", path+mark+q, "")
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s?%.60s takes %s", path, q, took)
			}
			if strings.Contains(got.body, "internal error") || strings.Contains(got.body, "goroutine") {
				t.Errorf("%s?%.60s: %d %.200s", path, q, got.status, got.body)
			}
		}
	}
	s.serves()
}

// Who sends its header byte by byte is cut off in time, and holds up nobody.
func TestSlowHeaders(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the timeout of headers")
	}
	t.Parallel()
	s := start(t, t.TempDir())
	conns := make([]net.Conn, 100)
	for i := range conns {
		conns[i] = s.dial()
		defer conns[i].Close()
		io.WriteString(conns[i], "GET / HTTP/1.1\r\nX-A: ")
	}
	s.serves()
	for _, conn := range conns {
		conn.SetDeadline(time.Now().Add(headerTimeout + patience))
		if answer, err := io.ReadAll(conn); err != nil && !errors.Is(err, io.EOF) && !isReset(err) {
			t.Fatalf("the connection is still open: %q %v", answer, err)
		}
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}

func TestHugeHeaders(t *testing.T) {
	s := start(t, t.TempDir())
	conn := s.dial()
	defer conn.Close()
	io.WriteString(conn, "GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n")
	var err error
	for i := 0; i < 1<<14 && err == nil; i++ {
		_, err = fmt.Fprintf(conn, "X-%d: %s\r\n", i, strings.Repeat("x", 1000))
	}
	if err == nil {
		t.Error("16 MiB of headers are taken")
	}
	s.serves()
}

// Too many connections of one client are told so, and those of others, and of before, go on.
func TestTooManyConnections(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir(), "limits { http_max_conns_per_client = 10 }")
	s.eventually("no connection is left", func() bool { s.conns.mu.Lock(); defer s.conns.mu.Unlock(); return len(s.conns.count) == 0 })
	held := s.dial()
	defer held.Close()
	for range 9 {
		conn := s.dial()
		defer conn.Close()
	}
	for range 50 {
		conn := s.dial()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
			t.Fatalf("one too many gets %v, %v", answer, err)
		}
		conn.Close()
	}
	io.WriteString(held, "GET /v1/status/leader HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if answer, err := http.ReadResponse(bufio.NewReader(held), nil); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("a connection of before gets %v, %v", answer, err)
	}
}

// Random bytes at each port change nothing.
func TestRandomBytes(t *testing.T) {
	noLeaks(t)
	s := start(t, t.TempDir())
	ends := &s.cfg.Network.Endpoints
	streams := []string{s.HTTPAddrs()[0].String(), s.DNSAddrs()[0].String(), ends.SerfBindLAN.String(), ends.SerfBindWAN.String(), ends.RPCBind.String()}
	packets := []string{s.DNSAddrs()[0].String(), ends.SerfBindLAN.String(), ends.SerfBindWAN.String()}
	before := runtime.NumGoroutine()
	for round := range 30 {
		for _, address := range streams {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatalf("%s is gone: %v", address, err)
			}
			conn.Write(noise(round))
			conn.Close()
		}
		for _, address := range packets {
			conn, err := net.Dial("udp", address)
			if err != nil {
				t.Fatal(err)
			}
			for first := range 16 {
				conn.Write(append([]byte{byte(first)}, noise(round*40)...))
			}
			conn.Close()
		}
	}
	s.eventually("all is as before", func() bool { return runtime.NumGoroutine() <= before+5 })
	s.serves()
	if got := s.dig("consul.service.consul.", 1); len(got.Answer) != 1 {
		t.Errorf("DNS answers %v", got)
	}
	if got := s.get("/v1/agent/members"); strings.Count(got, `"Name":`) != 1 {
		t.Errorf("the members are %s", got)
	}
}

// noise is random, often after a byte that means something to one of the protocols.
func noise(round int) []byte {
	b := make([]byte, 1+round*round)
	rand.Read(b)
	if round%3 == 0 {
		b[0] = byte(round / 3)
	}
	if round%7 == 1 {
		b = slices.Concat(bytes.Repeat([]byte{0xff}, 4), b)
	}
	return b[:min(len(b), 1200)]
}
