package backup

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// partSize is how much of an archive is in memory at once. A multipart upload has ten thousand parts at most: 160 GB.
const partSize = 16 << 20

// maxParts is how many parts an upload may have.
const maxParts = 10_000

// An upload sends one object. What fits in one part is one request; more is a multipart upload, which becomes an object at
// its end.
//
// Each request carries the digests of its whole body, and the body as it is. The library would rather sign a body chunk by
// chunk over plain HTTP, and checksum it in headers of Amazon's own over TLS; services exist that do not know these, and some
// of them keep the signatures of the chunks as a part of the object.
type upload struct {
	core        minio.Core
	bucket, key string
	sealed      encrypt.ServerSide
}

// send reads to the end and returns how much that was. If it fails, there is no object, and no parts of one are left.
func (u upload) send(ctx context.Context, r io.Reader) (int64, error) {
	buf := make([]byte, partSize)
	n, last, err := fill(r, buf)
	if err != nil {
		return 0, err
	}
	opts := minio.PutObjectOptions{ContentType: "application/gzip", ServerSideEncryption: u.sealed, DisableContentSha256: true}
	if last {
		body, sums := buf[:n], sumsOf(buf[:n])
		_, err := u.core.PutObject(ctx, u.bucket, u.key, bytes.NewReader(body), int64(n), sums.Md5Base64, sums.Sha256Hex, opts)
		return int64(n), err
	}
	id, err := u.core.NewMultipartUpload(ctx, u.bucket, u.key, opts)
	if err != nil {
		return 0, err
	}
	size, err := u.sendParts(ctx, id, buf, r)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = u.core.AbortMultipartUpload(ctx, u.bucket, u.key, id) // what went wrong is told already
	}
	return size, err
}

// sendParts sends a first part, which is full, and those that follow.
func (u upload) sendParts(ctx context.Context, id string, buf []byte, r io.Reader) (size int64, err error) {
	var parts []minio.CompletePart
	n, last := len(buf), false
	for {
		if len(parts) == maxParts {
			return 0, fmt.Errorf("the archive is larger than %d parts of %d MiB", maxParts, partSize>>20)
		}
		part, err := u.core.PutObjectPart(ctx, u.bucket, u.key, id, len(parts)+1, bytes.NewReader(buf[:n]), int64(n), sumsOf(buf[:n]))
		if err != nil {
			return 0, err
		}
		parts, size = append(parts, minio.CompletePart{PartNumber: part.PartNumber, ETag: part.ETag}), size+int64(n)
		if last {
			break
		}
		if n, last, err = fill(r, buf); err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
	}
	_, err = u.core.CompleteMultipartUpload(ctx, u.bucket, u.key, id, parts, minio.PutObjectOptions{ServerSideEncryption: u.sealed})
	return size, err
}

// fill reads until buf is full or the end is reached, which last tells.
func fill(r io.Reader, buf []byte) (n int, last bool, err error) {
	n, err = io.ReadFull(r, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return n, true, nil
	}
	return n, false, err
}

// sumsOf makes the digests of a body, and asks for no other ones.
func sumsOf(body []byte) minio.PutObjectPartOptions {
	m, s := md5.Sum(body), sha256.Sum256(body)
	return minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(m[:]), Sha256Hex: hex.EncodeToString(s[:]),
		DisableContentSha256: true}
}

// forgotten is the age at which an upload counts as one that nobody ends: a server has died that was at it.
const forgotten = 24 * time.Hour

// Tidy gives up old uploads of objects whose names are those of archives: their parts are seen by nobody, and paid for. Keys
// without the rights to do so, and services that cannot, keep them.
func (b *Bucket) Tidy(ctx context.Context, isName func(string) bool) {
	core := minio.Core{Client: b.client}
	begun, err := core.ListMultipartUploads(ctx, b.conf.Bucket, b.key(""), "", "", "", 1000)
	if err != nil {
		return
	}
	for _, u := range begun.Uploads {
		if isName(strings.TrimPrefix(u.Key, b.key(""))) && time.Since(u.Initiated) > forgotten {
			_ = core.AbortMultipartUpload(ctx, b.conf.Bucket, u.Key, u.UploadID)
		}
	}
}
