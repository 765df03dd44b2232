package ui

import (
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

// index is the file that stands for all paths that are no files.
const index = "index.html"

// noTime leaves out when a file changed: its tag alone tells.
func noTime() time.Time { return time.Time{} }

// directory serves the files of a directory, and its index for all that is no file there. Nothing outside of it is
// reachable, by dots or by links. There are no listings.
func directory(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			plain(w, http.StatusNotFound, errMissing)
			return
		}
		defer root.Close()
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if serveFile(w, r, root, name) || serveFile(w, r, root, index) {
			return
		}
		plain(w, http.StatusNotFound, errMissing)
	})
}

// serveFile answers with a regular file of the root, and tells whether there is one.
func serveFile(w http.ResponseWriter, r *http.Request, root *os.Root, name string) bool {
	info, err := root.Stat(name)
	if err != nil || !info.Mode().IsRegular() { // opening a pipe would wait for its other end
		return false
	}
	f, err := root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	cacheable(w, name, fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	http.ServeContent(w, r, name, noTime(), f)
	return true
}

// contentType is the type of a file by its name: the same on every host, unlike package mime's.
func contentType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	case ".webp":
		return "image/webp"
	case ".ico":
		return "image/x-icon"
	case ".woff":
		return "font/woff"
	case ".woff2":
		return "font/woff2"
	case ".wasm":
		return "application/wasm"
	default:
		return "application/octet-stream"
	}
}
