package backup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"

	"lictor/certs"
)

// BucketConfig says which bucket, and how it is reached. Texts that are "" have the defaults of S3.
type BucketConfig struct {
	Bucket, Prefix, Region string
	Endpoint               string // a host with or without port, or a URL of it
	CAFile                 string // authorities of the endpoint's certificate, in PEM; "" is those of the system
	AccessKey, SecretKey   string // "" takes those of the environment, of ~/.aws/credentials or of the machine
	PathStyle              bool   // name the bucket in the path, not in the host's name
	Encrypt                bool   // with keys of the bucket's keeper
	KMS                    bool   // with keys of its key service
	KMSKey                 string
}

// copySize is how much of an object a bucket copies in one request: 5 GiB.
const copySize = 5 << 30

// defaultEndpoint is S3's own.
const defaultEndpoint = "s3.amazonaws.com"

// A Bucket keeps archives in a bucket of S3 or of what speaks its API.
type Bucket struct {
	client    *minio.Client
	conf      BucketConfig
	transport *http.Transport
}

// SplitEndpoint takes an endpoint apart into host and port, and whether it is reached with TLS.
func SplitEndpoint(text string) (host string, secure bool, err error) {
	if text == "" {
		return defaultEndpoint, true, nil
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", false, errors.New("is no address of a host")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", false, errors.New("must begin with http:// or https://, or be a host")
	case u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return "", false, errors.New("must name a host, and nothing but it")
	}
	return u.Host, u.Scheme == "https", nil
}

// OpenBucket makes a Bucket. Nothing is asked of it yet.
func OpenBucket(c BucketConfig) (*Bucket, error) {
	host, secure, err := SplitEndpoint(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	transport.ResponseHeaderTimeout = time.Minute
	if c.CAFile != "" {
		if transport.TLSClientConfig, err = trusting(c.CAFile); err != nil {
			return nil, fmt.Errorf("s3_ca_file: %w", err)
		}
	}
	keys := credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")
	if c.AccessKey == "" {
		keys = searchKeys()
	}
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(host, &minio.Options{Creds: keys, Secure: secure, Region: c.Region, Transport: transport, BucketLookup: lookup, MaxRetries: 3})
	if err != nil {
		return nil, err
	}
	return &Bucket{client: client, conf: c, transport: transport}, nil
}

// trusting is how the certificate of an endpoint is verified that authorities of a file vouch for.
func trusting(file string) (*tls.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	authorities, err := certs.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	pool := x509.NewCertPool()
	for _, a := range authorities {
		pool.AddCert(a)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// blamed names the keys of the section aws_storage to look at when a service refuses with a code.
var blamed = map[string]string{
	"NoSuchBucket": "s3_bucket", "InvalidBucketName": "s3_bucket",
	"InvalidAccessKeyId": "access_key_id", "SignatureDoesNotMatch": "secret_access_key",
	"AccessDenied":                 "access_key_id, which needs the rights to put, get, list and delete",
	"AuthorizationHeaderMalformed": "s3_region", "InvalidRegion": "s3_region", "PermanentRedirect": "s3_region and s3_endpoint",
	"RequestTimeTooSkewed": "the clock of this machine",
}

// explained adds to an error what to look at.
func (b *Bucket) explained(err error) error {
	var refused minio.ErrorResponse
	var stranger x509.UnknownAuthorityError
	var failed *url.Error
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &refused) && blamed[refused.Code] != "":
		return fmt.Errorf("bucket %q: %w (%s: look at %s)", b.conf.Bucket, err, refused.Code, blamed[refused.Code])
	case errors.As(err, &stranger):
		return fmt.Errorf("%w (look at s3_ca_file)", err)
	case errors.As(err, &failed):
		return fmt.Errorf("%w (look at s3_endpoint)", err)
	}
	return err
}

// Close gives up idle connections.
func (b *Bucket) Close() { b.transport.CloseIdleConnections() }

func (b *Bucket) key(name string) string {
	if p := strings.Trim(b.conf.Prefix, "/"); p != "" {
		return p + "/" + name
	}
	return name
}

// sealed is how the keeper of the bucket encrypts.
func (b *Bucket) sealed() (encrypt.ServerSide, error) {
	switch {
	case b.conf.KMS:
		return encrypt.NewSSEKMS(b.conf.KMSKey, nil)
	case b.conf.Encrypt:
		return encrypt.NewSSE(), nil
	}
	return nil, nil
}

// Put implements Store: the archive is sent as it is made, and becomes an object when it is whole.
func (b *Bucket) Put(ctx context.Context, name string, write func(io.Writer) error) (int64, error) {
	sealed, err := b.sealed()
	if err != nil {
		return 0, err
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() { // ends when write does, which the closed pipe ends
		defer close(done)
		err := write(w)
		if err != nil {
			err = fmt.Errorf("make the archive: %w", err) // a bare end of file would be the end of the archive
		}
		w.CloseWithError(err)
	}()
	size, err := upload{core: minio.Core{Client: b.client}, bucket: b.conf.Bucket, key: b.key(name), sealed: sealed}.send(ctx, r)
	r.CloseWithError(errors.New("the upload has ended"))
	<-done
	return size, b.explained(err)
}

// Open implements Store.
func (b *Bucket) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	return b.client.GetObject(ctx, b.conf.Bucket, b.key(name), minio.GetObjectOptions{})
}

// List implements Store.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing if it is left early
	var names []string
	for o := range b.client.ListObjects(ctx, b.conf.Bucket, minio.ListObjectsOptions{Prefix: b.key(prefix)}) {
		if o.Err != nil {
			return nil, b.explained(o.Err)
		}
		if name := strings.TrimPrefix(o.Key, b.key("")); !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names, nil
}

// Rename implements Store: the bucket copies the object, and the first one goes when the copy is there whole.
func (b *Bucket) Rename(ctx context.Context, from, to string) error {
	sealed, err := b.sealed()
	if err != nil {
		return err
	}
	first, err := b.client.StatObject(ctx, b.conf.Bucket, b.key(from), minio.StatObjectOptions{})
	if err != nil {
		return b.explained(err)
	}
	source := minio.CopySrcOptions{Bucket: b.conf.Bucket, Object: b.key(from), MatchETag: first.ETag}
	target := minio.CopyDestOptions{Bucket: b.conf.Bucket, Object: b.key(to), Encryption: sealed}
	copied := minio.UploadInfo{}
	if first.Size > copySize {
		copied, err = b.client.ComposeObject(ctx, target, source)
	} else {
		copied, err = b.client.CopyObject(ctx, target, source)
	}
	if err != nil {
		return b.explained(err)
	}
	second, err := b.client.StatObject(ctx, b.conf.Bucket, b.key(to), minio.StatObjectOptions{})
	if err != nil {
		return b.explained(err)
	}
	if second.Size != first.Size || second.ETag != copied.ETag {
		return fmt.Errorf("the copy has %d bytes and tag %q, not %d and %q", second.Size, second.ETag, first.Size, copied.ETag)
	}
	return b.Remove(ctx, from)
}

// Remove implements Store.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	return b.explained(b.client.RemoveObject(ctx, b.conf.Bucket, b.key(name), minio.RemoveObjectOptions{}))
}
