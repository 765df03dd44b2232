package health

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lictor/catalog"
	"lictor/process"
)

func frame(stream byte, payload string) []byte {
	b := append([]byte{stream, 0, 0, 0}, binary.BigEndian.AppendUint32(nil, uint32(len(payload)))...)
	return append(b, payload...)
}

// daemon is a small Docker daemon with one container, "box", whose commands are an exit code and words to print.
func daemon() http.Handler {
	var commands [][]string
	mux := http.NewServeMux()
	mux.HandleFunc("POST /containers/{id}/exec", func(w http.ResponseWriter, q *http.Request) {
		if q.PathValue("id") != "box" {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"message":"No such container: `+q.PathValue("id")+`"}`)
			return
		}
		var body struct{ Cmd []string }
		json.NewDecoder(q.Body).Decode(&body)
		commands = append(commands, body.Cmd)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"Id":"%d"}`, len(commands)-1)
	})
	command := func(q *http.Request) []string {
		var i int
		fmt.Sscan(q.PathValue("id"), &i)
		return commands[i]
	}
	mux.HandleFunc("POST /exec/{id}/start", func(w http.ResponseWriter, q *http.Request) {
		if slices.Equal(command(q), []string{"hang"}) {
			io.Copy(io.Discard, q.Body) // else the server does not notice that the client goes
			w.(http.Flusher).Flush()
			<-q.Context().Done()
			return
		}
		for i, word := range command(q)[1:] {
			w.Write(frame(byte(1+i%2), word+"\n"))
		}
	})
	mux.HandleFunc("GET /exec/{id}/json", func(w http.ResponseWriter, q *http.Request) {
		code := command(q)[0]
		if code == "/bin/sh" {
			code = "0"
		}
		fmt.Fprintf(w, `{"Running":false,"ExitCode":%s}`, code)
	})
	return mux
}

func TestDocker(t *testing.T) {
	dir, err := os.MkdirTemp("", "docker") // short: socket paths are limited
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: daemon()}}
	s.Start()
	defer s.Close()
	conf := Config{DockerHost: "unix://" + socket}
	in := func(args ...string) catalog.CheckDefinition {
		return catalog.CheckDefinition{DockerContainerID: "box", ScriptArgs: args}
	}
	expect(t, check(t, conf, in("0", "all", "fine")), "passing", "all\nfine\n")
	expect(t, check(t, conf, in("1", "careful")), "warning", "careful\n")
	expect(t, check(t, conf, in("2", "broken")), "critical", "broken\n")
	expect(t, check(t, conf, in("0")), "passing", "")
	withShell := in("check", "this")
	withShell.Shell = "/bin/sh"
	expect(t, check(t, conf, withShell), "passing", "-c\ncheck this\n")
	hang := in("hang")
	hang.Timeout = catalog.Duration(30 * time.Millisecond)
	expect(t, check(t, conf, hang), "critical", "Timed out (30ms) running check")
	gone := in("0")
	gone.DockerContainerID = "a/../gone"
	expect(t, check(t, conf, gone), "critical", "docker: 404 Not Found: No such container: a/../gone")
}

func TestDockerOverTCP(t *testing.T) {
	s := httptest.NewServer(daemon())
	defer s.Close()
	d := catalog.CheckDefinition{DockerContainerID: "box", ScriptArgs: []string{"0", "fine"}}
	expect(t, check(t, Config{DockerHost: "tcp://" + s.Listener.Addr().String()}, d), "passing", "fine\n")
}

func TestDockerWithoutDaemon(t *testing.T) {
	d := catalog.CheckDefinition{DockerContainerID: "box", ScriptArgs: []string{"true"}}
	r := check(t, Config{DockerHost: "unix:///no/such/socket"}, d)
	contains(t, r, "critical", "dial unix /no/such/socket: connect: no such file or directory")
	for _, host := range []string{"nonsense", "ssh://host", "unix://"} {
		if _, err := newDocker(newEnvironment(Config{DockerHost: host}), &d); err == nil {
			t.Errorf("docker host %q is accepted", host)
		}
	}
}

func FuzzDemultiplex(f *testing.F) {
	f.Add(append(frame(1, "out"), frame(2, "err")...))
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'x'})
	f.Fuzz(func(t *testing.T, in []byte) {
		out := process.NewTail(100)
		err := demultiplex(out, bytes.NewReader(in))
		if out.Total() > int64(len(in)) {
			t.Errorf("%d bytes came out of %d", out.Total(), len(in))
		}
		if err == nil && len(in) < 8 && len(in) > 0 {
			t.Error("a cut header is accepted")
		}
	})
}
