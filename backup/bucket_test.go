package backup_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lictor/backup"
)

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI-K7MDENG"
	region    = "eu-west-1"
)

// A fakeS3 keeps objects in memory, and refuses requests whose signature is not that of secretKey.
type fakeS3 struct {
	mu      sync.Mutex // guards what follows
	objects map[string][]byte
	parts   map[string]map[int][]byte // by upload
	largest int                       // part
	refused int
}

func startS3(t *testing.T) (*fakeS3, *httptest.Server) {
	f := &fakeS3{objects: map[string][]byte{}, parts: map[string]map[int][]byte{}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return f, s
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}

// signed checks a request's signature of version 4.
func signed(r *http.Request) bool {
	fields := map[string]string{}
	for _, f := range strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[k] = v
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[0] != accessKey || scope[2] != region {
		return false
	}
	var headers strings.Builder
	for _, name := range strings.Split(fields["SignedHeaders"], ";") {
		v := r.Header.Get(name)
		if name == "host" {
			v = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.TrimSpace(v))
	}
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), query, headers.String(), fields["SignedHeaders"], r.Header.Get("X-Amz-Content-Sha256")}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hex.EncodeToString(sum[:])}, "\n")
	key := mac(mac(mac(mac([]byte("AWS4"+secretKey), scope[1]), scope[2]), scope[3]), scope[4])
	return hmac.Equal([]byte(hex.EncodeToString(mac(key, text))), []byte(fields["Signature"]))
}

// content reads a body, which may come in chunks with signatures of their own.
func content(r *http.Request) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return io.ReadAll(r.Body)
	}
	var all []byte
	for in := bufio.NewReader(r.Body); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		text, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(text, 16, 32)
		if err != nil || n == 0 {
			return all, err
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return nil, err
		}
		all = append(all, chunk[:n]...)
	}
}

func etag(b []byte) string { return fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum(b))) }

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !signed(r) {
		f.refused++
		fail(w, http.StatusForbidden, "SignatureDoesNotMatch")
		return
	}
	q, key := r.URL.Query(), strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case r.Method == http.MethodGet && q.Has("list-type"):
		f.list(w, key, q)
	case r.Method == http.MethodPost && q.Has("uploads"):
		f.parts[key] = map[int][]byte{}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", url.PathEscape(key))
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		b, ok := f.objects[strings.TrimPrefix(r.Header.Get("X-Amz-Copy-Source"), "/")]
		if !ok || r.Header.Get("X-Amz-Copy-Source-If-Match") != strings.Trim(etag(b), `"`) {
			fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		f.objects[key] = b
		fmt.Fprintf(w, "<CopyObjectResult><ETag>%s</ETag></CopyObjectResult>", etag(b))
	case r.Method == http.MethodPut:
		b, err := content(r)
		if err != nil {
			fail(w, http.StatusBadRequest, "IncompleteBody")
			return
		}
		f.largest = max(f.largest, len(b))
		if n, err := strconv.Atoi(q.Get("partNumber")); err == nil {
			f.parts[key][n] = b
		} else {
			f.objects[key] = b
		}
		w.Header().Set("ETag", etag(b))
	case r.Method == http.MethodPost:
		var whole []byte
		for n := 1; n <= len(f.parts[key]); n++ {
			whole = append(whole, f.parts[key][n]...)
		}
		f.objects[key] = whole
		delete(f.parts, key)
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>vault</Bucket><Key>%s</Key><ETag>%s</ETag></CompleteMultipartUploadResult>", key, "x")
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		delete(f.parts, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		delete(f.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		b, ok := f.objects[key]
		if !ok {
			fail(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", etag(b))
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.Write(b)
	}
}

func (f *fakeS3) list(w http.ResponseWriter, bucket string, q url.Values) {
	type object struct {
		Key  string
		Size int
	}
	out := struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []object
	}{}
	for k, b := range f.objects {
		if k, ok := strings.CutPrefix(k, strings.TrimSuffix(bucket, "/")+"/"); ok && strings.HasPrefix(k, q.Get("prefix")) {
			out.Contents = append(out.Contents, object{k, len(b)})
		}
	}
	slices.SortFunc(out.Contents, func(a, b object) int { return strings.Compare(a.Key, b.Key) })
	xml.NewEncoder(w).Encode(out)
}

func openBucket(t *testing.T, url, secret string) *backup.Bucket {
	t.Helper()
	b, err := backup.OpenBucket(backup.BucketConfig{Bucket: "vault", Prefix: "consul-snapshot", Region: region, Endpoint: url,
		AccessKey: accessKey, SecretKey: secret, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// What is larger than a part goes in several, and comes back as it was.
func TestBucketTakesPartsOneByOne(t *testing.T) {
	f, s := startS3(t)
	store := openBucket(t, s.URL, secretKey)
	const size = 20 << 20
	n, err := store.Put(t.Context(), "a", func(w io.Writer) error {
		_, err := io.CopyN(w, zeros{}, size)
		return err
	})
	if err != nil || n != size {
		t.Fatalf("wrote %d bytes: %v", n, err)
	}
	r, err := store.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if back, err := io.Copy(io.Discard, r); back != size || err != nil {
		t.Errorf("read %d bytes: %v", back, err)
	}
	if f.largest > 16<<20 {
		t.Errorf("a part of %d bytes", f.largest)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBucketRefusesAWrongKeyAndDoesNotTellIt(t *testing.T) {
	f, s := startS3(t)
	const wrong = "wrong-secret-key"
	_, err := openBucket(t, s.URL, wrong).Put(t.Context(), "a", func(w io.Writer) error { _, err := w.Write([]byte("x")); return err })
	if err == nil || strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), accessKey) {
		t.Errorf("error is %v", err)
	}
	if f.refused == 0 || len(f.objects) > 0 {
		t.Errorf("%d requests were refused, %d objects are there", f.refused, len(f.objects))
	}
}

func TestFailedArchiveLeavesNothingInTheBucket(t *testing.T) {
	f, s := startS3(t)
	_, err := openBucket(t, s.URL, secretKey).Put(t.Context(), "a", func(w io.Writer) error {
		w.Write(make([]byte, 17<<20))
		return io.ErrUnexpectedEOF
	})
	if err == nil || len(f.objects) > 0 || len(f.parts) > 0 {
		t.Errorf("%v; %d objects, %d uploads are there", err, len(f.objects), len(f.parts))
	}
}

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		"": "s3.amazonaws.com true", "minio:9000": "minio:9000 true", "http://minio:9000/": "minio:9000 false",
		"ftp://a": "", "https://user:secret@a": "", "https://a/b": "", "https://": "", "http://[": "",
	} {
		host, secure, err := backup.SplitEndpoint(text)
		got := fmt.Sprint(host, " ", secure)
		if err != nil {
			got = ""
		}
		if got != want || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
