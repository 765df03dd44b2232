package backup_test

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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
	largest int                       // body
	taken   int                       // parts
	refused string                    // code of the refusal of requests that are signed well
	wrong   int                       // signatures
	began   time.Time                 // all uploads
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

// content reads a body whose digests a request names. Like some services it knows no bodies in chunks that are signed one by
// one, and no checksums beside the digests.
func content(r *http.Request) (b []byte, refusal string) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Checksum") || name == "X-Amz-Trailer" || name == "X-Amz-Sdk-Checksum-Algorithm" {
			return nil, "NotImplemented"
		}
	}
	b, err := io.ReadAll(r.Body)
	sum, md := sha256.Sum256(b), md5.Sum(b)
	switch {
	case err != nil:
		return nil, "IncompleteBody"
	case r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]):
		return nil, "XAmzContentSHA256Mismatch"
	case r.Header.Get("Content-Md5") != base64.StdEncoding.EncodeToString(md[:]):
		return nil, "BadDigest"
	}
	return b, ""
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
		f.wrong++
		fail(w, http.StatusForbidden, "SignatureDoesNotMatch")
		return
	}
	if f.refused != "" {
		fail(w, http.StatusForbidden, f.refused)
		return
	}
	q, key := r.URL.Query(), strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case r.Method == http.MethodGet && q.Has("uploads"):
		f.uploads(w, strings.TrimSuffix(key, "/"))
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
		b, refusal := content(r)
		if refusal != "" {
			fail(w, http.StatusBadRequest, refusal)
			return
		}
		f.largest = max(f.largest, len(b))
		if n, err := strconv.Atoi(q.Get("partNumber")); err == nil {
			f.parts[key][n] = b
			f.taken++
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

func (f *fakeS3) uploads(w http.ResponseWriter, bucket string) {
	fmt.Fprint(w, "<ListMultipartUploadsResult>")
	for k := range f.parts {
		key := strings.TrimPrefix(k, bucket+"/")
		fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>", key, url.PathEscape(k), f.began.UTC().Format(time.RFC3339))
	}
	fmt.Fprint(w, "</ListMultipartUploadsResult>")
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
	const part = 16 << 20
	for size, parts := range map[int64]int{0: 0, 1: 0, part - 1: 0, part: 1, part + 1: 2, 2 * part: 2} {
		f, s := startS3(t)
		store := openBucket(t, s.URL, secretKey)
		n, err := store.Put(t.Context(), "a", func(w io.Writer) error {
			_, err := io.CopyN(w, zeros{}, size)
			return err
		})
		if err != nil || n != size {
			t.Fatalf("wrote %d bytes of %d: %v", n, size, err)
		}
		r, err := store.Open(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if back, err := io.Copy(io.Discard, r); back != size || err != nil {
			t.Errorf("read %d bytes of %d: %v", back, size, err)
		}
		r.Close()
		if f.largest > part || f.taken != parts {
			t.Errorf("%d bytes went in %d parts, not %d, of at most %d bytes", size, f.taken, parts, f.largest)
		}
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
	if f.wrong == 0 || len(f.objects) > 0 {
		t.Errorf("%d requests were refused, %d objects are there", f.wrong, len(f.objects))
	}
}

// An error names the key of the configuration to look at.
func TestBucketErrorsNameTheKeyToLookAt(t *testing.T) {
	one := func(w io.Writer) error { _, err := w.Write([]byte("x")); return err }
	f, s := startS3(t)
	said := func(store *backup.Bucket) string {
		_, err := store.Put(t.Context(), "a", one)
		return fmt.Sprint(err)
	}
	for code, key := range map[string]string{"NoSuchBucket": "s3_bucket", "InvalidAccessKeyId": "access_key_id", "AccessDenied": "access_key_id",
		"AuthorizationHeaderMalformed": "s3_region"} {
		f.refused = code
		if got := said(openBucket(t, s.URL, secretKey)); !strings.Contains(got, `bucket "vault": `) || !strings.Contains(got, code+": look at "+key) {
			t.Errorf("%s: %s", code, got)
		}
		if _, err := openBucket(t, s.URL, secretKey).List(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: a listing says %v", code, err)
		}
	}
	f.refused = ""
	if got := said(openBucket(t, s.URL, "wrong")); !strings.Contains(got, "SignatureDoesNotMatch: look at secret_access_key") {
		t.Errorf("wrong key: %s", got)
	}
	s.Close()
	if got := said(openBucket(t, s.URL, secretKey)); !strings.Contains(got, "look at s3_endpoint") {
		t.Errorf("nobody there: %s", got)
	}
}

// Where no key is found nothing is asked of the bucket: it might take what is not signed.
func TestBucketWithoutAKeyIsNotAsked(t *testing.T) {
	asked := func() (where string, err error) {
		f, s := startS3(t)
		conf := backup.BucketConfig{Bucket: "vault", Region: region, Endpoint: s.URL, PathStyle: true}
		b, err := backup.OpenBucket(conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		_, err = b.Put(t.Context(), "a", func(w io.Writer) error { _, err := w.Write([]byte("x")); return err })
		return fmt.Sprintf("%d objects, %d refusals", len(f.objects), f.wrong), err
	}
	machine := httptest.NewServer(http.NotFoundHandler()) // that would have told a key to programs on it
	t.Cleanup(machine.Close)
	file := filepath.Join(t.TempDir(), "credentials")
	for name, value := range map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": machine.URL, "AWS_SHARED_CREDENTIALS_FILE": file,
		"AWS_ACCESS_KEY_ID": "", "AWS_ACCESS_KEY": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SECRET_KEY": ""} {
		t.Setenv(name, value)
	}
	if got, err := asked(); got != "0 objects, 0 refusals" || err == nil || !strings.Contains(err.Error(), "there is no key: access_key_id is not set, and other places have none (the environment: nothing; the file of credentials: open ") {
		t.Errorf("without a key: %s, %v", got, err)
	}
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", accessKey, secretKey)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := asked(); got != "1 objects, 0 refusals" || err != nil {
		t.Errorf("with a file: %s, %v", got, err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if got, err := asked(); got != "0 objects, 1 refusals" || err == nil {
		t.Errorf("the environment comes first: %s, %v", got, err)
	}
}

// A service of one's own may have a certificate from an authority of one's own.
func TestBucketTrustsAnAuthorityOfItsOwn(t *testing.T) {
	f := &fakeS3{objects: map[string][]byte{}, parts: map[string]map[int][]byte{}}
	s := httptest.NewTLSServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	conf := backup.BucketConfig{Bucket: "vault", Region: region, Endpoint: s.URL, AccessKey: accessKey, SecretKey: secretKey, PathStyle: true}
	for path, want := range map[string]string{"": "look at s3_ca_file", file: ""} {
		conf.CAFile = path
		b, err := backup.OpenBucket(conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		_, err = b.Put(t.Context(), "a", func(w io.Writer) error { _, err := w.Write([]byte("x")); return err })
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("with %q: %v", path, err)
		}
	}
	for path, text := range map[string]string{file + ".no": "no such file", "bucket_test.go": "holds no certificate"} {
		conf.CAFile = path
		if _, err := backup.OpenBucket(conf); err == nil || !strings.HasPrefix(err.Error(), "s3_ca_file: ") || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", path, err)
		}
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

// Parts of an upload that was given up cost their owner for ever: nobody lists them.
func TestUploadThatIsGivenUpLeavesNothingInTheBucket(t *testing.T) {
	f, s := startS3(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := openBucket(t, s.URL, secretKey).Put(ctx, "a", func(w io.Writer) error {
		w.Write(make([]byte, 33<<20)) // two parts are there, and a third one has begun
		cancel()
		_, err := w.Write(make([]byte, 33<<20))
		return err
	})
	if f.mu.Lock(); !errors.Is(err, context.Canceled) || f.taken == 0 || len(f.objects) > 0 || len(f.parts) > 0 {
		t.Errorf("%v; %d parts were taken, %d objects, %d uploads are there", err, f.taken, len(f.objects), len(f.parts))
	}
	f.mu.Unlock()
}

// What a server was uploading when it died is given up by a later one, unless it may be under way still, or is not ours.
func TestUploadsOfTheDeadAreGivenUp(t *testing.T) {
	f, s := startS3(t)
	store := openBucket(t, s.URL, secretKey)
	const ours, others = "vault/consul-snapshot/consul-c1-20200101T000000.000Z.snap", "vault/consul-snapshot/consul-c2-20200101T000000.000Z.snap"
	for key, parts := range map[string]map[int][]byte{ours: {1: nil}, others: {1: nil}} {
		f.parts[key] = parts
	}
	for began, want := range map[time.Duration]string{time.Hour: ours + " " + others, 25 * time.Hour: others} {
		f.began = time.Now().Add(-began)
		f.parts[ours] = map[int][]byte{1: nil}
		if _, err := newJob(store).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(f.parts)), " "); got != want {
			t.Errorf("begun %s ago: there is %q, not %q", began, got, want)
		}
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
