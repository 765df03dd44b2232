package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"
)

// archiveOf is an archive with a state of three keys and a node. damage changes a file after it was summed.
func archiveOf(t testing.TB, damage func(name, content string) string) []byte {
	t.Helper()
	state := msgp.AppendUint(msgp.AppendString(nil, "lictor-state"), 1)
	for _, key := range []string{"app/a/x", "app/a/y", "app/b", "other"} {
		state = msgp.AppendString(state, "kvs")
		state = msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(state, 1), "Key"), key)
	}
	state = msgp.AppendMapHeader(msgp.AppendString(state, "nodes"), 0)
	state = msgp.AppendString(state, "")
	meta := fmt.Sprintf(`{"ID":"2-42-7","Size":%d,"Index":42,"Term":2,"Version":1}`, len(state))

	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	sums := ""
	for _, f := range [][2]string{{"meta.json", meta}, {"state.bin", string(state)}, {"SHA256SUMS", ""}} {
		name, content := f[0], f[1]
		if name == "SHA256SUMS" {
			content = sums
		}
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(content)), name)
		if damage != nil {
			content = damage(name, content)
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSnapshotSaveAndRestore(t *testing.T) {
	archive := archiveOf(t, nil)
	answer := archive
	var restored bytes.Buffer
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /v1/snapshot":
			w.Write(answer)
		case "PUT /v1/snapshot":
			restored.ReadFrom(r.Body)
		default:
			w.Write([]byte(`{"Config":{"NodeName":"node1","Datacenter":"dc1","Version":"1.21.4"},"Stats":{"consul":{"leader":"true"}}}`))
		}
	}))
	defer agent.Close()
	t.Chdir(t.TempDir())

	code, out, stderr := invoke("snapshot", "save", "-http-addr="+agent.URL, "x.snap")
	if code != 0 || out != "Saved and verified snapshot to index 42\n" {
		t.Errorf("save: exit %d, %s%s", code, out, stderr)
	}
	code, out, stderr = invoke("snapshot", "restore", "-http-addr="+agent.URL, "x.snap")
	if code != 0 || out != "Restored snapshot\n" || !bytes.Equal(restored.Bytes(), archive) {
		t.Errorf("restore: exit %d, %s%s", code, out, stderr)
	}
	if code, _, stderr = invoke("snapshot", "save", "-http-addr="+agent.URL, "-append-filename=dc,node,status", "y.snap"); code != 0 {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if _, err := os.Stat("y-dc1-node1-leader.snap"); err != nil {
		t.Error(err)
	}

	answer = archive[:len(archive)/2]
	code, _, stderr = invoke("snapshot", "save", "-http-addr="+agent.URL, "half.snap")
	if code != 1 || !strings.HasPrefix(stderr, "Error verifying snapshot file: ") {
		t.Errorf("half: exit %d, %s", code, stderr)
	}
	if left, _ := filepath.Glob("half*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSnapshotInspect(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("x.snap", archiveOf(t, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, stderr := invoke("snapshot", "inspect", "-kvdetails", "-kvfilter=app", "x.snap")
	want := ` ID       2-42-7
 Size     86
 Index    42
 Term     2
 Version  1

 Type      Count  Size
 ----      ----   ----
 KVS       4      48B
 Register  1      1B
 ----      ----   ----
 Total            49B

 Key Name  Count  Size
 ----      ----   ----
 app/a     2      26B
 app/b     1      11B
 ----      ----   ----
 Total            37B
`
	if d := cmp.Diff(want, out+stderr); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestSnapshotDamage(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, damage := range map[string]func(name, content string) string{
		"state.bin": func(name, content string) string {
			if name == "state.bin" {
				return strings.Replace(content, "other", "offer", 1)
			}
			return content
		},
		"meta.json": func(name, content string) string {
			if name == "meta.json" {
				return strings.Replace(content, "42", "43", 1)
			}
			return content
		},
	} {
		if err := os.WriteFile("x.snap", archiveOf(t, damage), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := invoke("snapshot", "inspect", "x.snap")
		if code != 1 || !strings.Contains(stderr, fmt.Sprintf("hash check failed for %q", name)) {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
}

// Whatever an archive holds, it is read to its end or refused.
func FuzzArchive(f *testing.F) {
	f.Add(archiveOf(f, nil))
	f.Add([]byte("not a snapshot"))
	f.Fuzz(func(t *testing.T, content []byte) {
		name := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := inspectOptions{keys: true}.inspect(name)
		if err == nil && report.TotalSize < report.TotalSizeKV {
			t.Errorf("%+v", report)
		}
	})
}
