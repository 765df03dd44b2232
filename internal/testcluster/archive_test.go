package testcluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// An archive of a datacenter that is reached only through a third one comes and goes through that.
func TestArchivesGoRoundACutLink(t *testing.T) {
	Federate(t, 3, 1, 1, "", func(f *Federation) {
		there := f.DC(3).Leader()
		f.Part(1, 3)
		for _, n := range f.DC(1).Running() {
			there.Put("k", "saved at "+n.Name)
			archive := n.Ask("GET", "/v1/snapshot?dc=dc3", "")
			if !archive.OK() || archive.Header.Get("X-Consul-Index") == "" || len(archive.Body) < 100 {
				t.Fatalf("%s saves: %d %v %d bytes", n.Name, archive.Status, archive.Header, len(archive.Body))
			}
			there.Put("k", "changed")
			if a := n.Ask("PUT", "/v1/snapshot?dc=dc3", archive.Body); !a.OK() {
				t.Fatalf("%s restores: %d %s", n.Name, a.Status, a.Body)
			}
			f.DC(3).Eventually("it is as it was", func() bool { return there.Get("/v1/kv/k?raw") == "saved at "+n.Name })
			if a := n.Ask("PUT", "/v1/snapshot?dc=dc3", archive.Body[:len(archive.Body)/2]); a.OK() {
				t.Errorf("%s restores the half of an archive", n.Name)
			}
		}
		f.Part(2, 3)
		for _, n := range f.DC(1).Running() {
			f.DC(1).Eventually("there is no way", func() bool {
				a := n.Ask("GET", "/v1/snapshot?dc=dc3", "")
				return a.Status == http.StatusInternalServerError && strings.HasPrefix(a.Body, "No path to datacenter")
			})
			begun := time.Now()
			a := n.Ask("PUT", "/v1/snapshot?dc=dc3", "x")
			if took := time.Since(begun); a.Status != http.StatusInternalServerError || !strings.HasPrefix(a.Body, "No path to datacenter") || took > time.Second {
				t.Errorf("%s restores without a way: %d %s after %s", n.Name, a.Status, a.Body, took)
			}
		}
	})
}

// Where a link is cut in the middle of an archive, nobody takes half of it for the whole, and nothing is restored.
func TestALinkIsCutInTheMiddleOfAnArchive(t *testing.T) {
	Federate(t, 3, 1, 1, "", func(f *Federation) {
		there, here := f.DC(3).Leader(), f.DC(1).Node("dc1-c1")
		for i := range 8 {
			value := make([]byte, 500<<10)
			_, _ = rand.Read(value)
			there.Put(fmt.Sprintf("big%d", i), string(value))
		}
		f.Part(1, 3) // the way is through dc2
		archive := here.Ask("GET", "/v1/snapshot?dc=dc3", "")
		if !archive.OK() {
			t.Fatalf("%d %s", archive.Status, archive.Body)
		}
		there.Put("since", "v")
		cut := func() { f.Part(2, 3) }

		begun := time.Now()
		saved, aborted := here.transfer("GET", nil, &faulty{after: 1 << 20, fault: cut})
		if took := time.Since(begun); !aborted || saved.Body.Len() >= len(archive.Body) || took > 15*time.Second {
			t.Errorf("a save that is cut off: %d, aborted %t, %d bytes of %d, after %s", saved.Code, aborted, saved.Body.Len(), len(archive.Body), took)
		}
		f.Net.HealAll()
		f.Part(1, 3)
		f.DC(1).Eventually("dc3 is reached", func() bool { return here.far(3, "since") == "v" })

		begun = time.Now()
		body := &faulty{from: strings.NewReader(archive.Body), after: 1 << 20, fault: cut}
		restored, _ := here.transfer("PUT", body, &faulty{})
		if took := time.Since(begun); restored.Code != http.StatusInternalServerError || restored.Body.Len() == 0 || took > 15*time.Second {
			t.Errorf("a restore that is cut off: %d %q after %s", restored.Code, restored.Body, took)
		}
		f.DC(3).Sleep(10 * time.Second)
		if v, err := there.Value("since", ""); v != "v" || err != nil {
			t.Errorf("half an archive was restored: %q %v", v, err)
		}
	})
}

// A faulty reads or writes, and does something once after so many bytes.
type faulty struct {
	from  io.Reader
	done  int
	after int
	fault func()
}

func (b *faulty) count(n int) {
	if b.done += n; b.fault != nil && b.done >= b.after {
		b.fault()
		b.fault = nil
	}
}

// Read implements io.Reader.
func (b *faulty) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.count(n)
	return n, err
}

// transfer makes a request for dc3's archive, and tells whether the answer was broken off.
func (n *Node) transfer(method string, body io.Reader, answer *faulty) (w *httptest.ResponseRecorder, aborted bool) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	w = httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			err, ok := p.(error)
			if aborted = ok && errors.Is(err, http.ErrAbortHandler); !aborted {
				panic(p)
			}
		}
	}()
	n.Handler().ServeHTTP(&faultyWriter{w, answer}, httptest.NewRequestWithContext(ctx, method, "/v1/snapshot?dc=dc3", body))
	return w, false
}

// A faultyWriter is a ResponseWriter whose bytes a faulty counts.
type faultyWriter struct {
	*httptest.ResponseRecorder
	count *faulty
}

// Write implements io.Writer.
func (w *faultyWriter) Write(p []byte) (int, error) {
	w.count.count(len(p))
	return w.ResponseRecorder.Write(p)
}
