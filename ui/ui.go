// Package ui serves the web page of the agent: services, nodes and keys. The page is plain files that are part of the
// program; all that it shows comes from the public HTTP API, with the token that its user gives it. The package knows
// files and headers, and nothing of the agent.
package ui

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"html"
	"net/http"
	"path"
	"strings"
)

// Config says what is served, and where.
type Config struct {
	Path string // below which the page is; "" means /ui/
	Dir  string // directory of a page of one's own, which is served instead; "" means the page of this package
}

//go:embed page
var page embed.FS

// policy lets the page load nothing but its own files, talk to nobody but its own agent, and make no markup of texts.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// dirPolicy leaves to a page of one's own what it loads.
const dirPolicy = "frame-ancestors 'none'"

// Texts that clients see.
const (
	errMethod  = "method %s not allowed\n"
	errMissing = "no such page\n"
)

// Handler answers GET and HEAD requests for the page. It expects the whole path of a request, and answers all paths
// below Config.Path that are no files with the index, so that the page can name its views by paths. A header that
// the response has already, such as one that the configuration of the agent asks for, stays as it is.
func Handler(c Config) http.Handler {
	base := Base(c.Path)
	var files http.Handler
	if c.Dir != "" {
		files = guarded(dirPolicy, directory(c.Dir))
	} else {
		files = guarded(policy, embedded(base))
	}
	return http.StripPrefix(strings.TrimSuffix(base, "/"), files)
}

// Base is the path below which a page with this Config.Path is served: clean, and with a slash at both ends.
func Base(contentPath string) string {
	if contentPath == "" {
		return "/ui/"
	}
	clean := path.Clean("/" + contentPath)
	if clean == "/" {
		return clean
	}
	return clean + "/"
}

// guarded adds what all answers share, and refuses requests that do not read.
func guarded(policy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offer(w, "Content-Security-Policy", policy)
		offer(w, "X-Content-Type-Options", "nosniff")
		offer(w, "X-Frame-Options", "DENY")
		offer(w, "Referrer-Policy", "no-referrer")
		offer(w, "Cross-Origin-Opener-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			plain(w, http.StatusMethodNotAllowed, fmt.Sprintf(errMethod, r.Method))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// offer sets a header unless it is there.
func offer(w http.ResponseWriter, name, value string) {
	if w.Header().Get(name) == "" {
		w.Header().Set(name, value)
	}
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write([]byte(text))
}

// cacheable marks an answer that a browser may keep, but has to ask about before it uses it again.
func cacheable(w http.ResponseWriter, name, tag string) {
	offer(w, "Cache-Control", "no-cache")
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", contentType(name))
}

// An asset is one file of the page, as it goes out.
type asset struct {
	body string
	tag  string
}

// embedded serves the page of this package.
func embedded(base string) http.Handler {
	assets := load(base)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		a, ok := assets[name]
		if !ok {
			name = index
			a = assets[index]
		}
		cacheable(w, name, a.tag)
		http.ServeContent(w, r, name, noTime(), strings.NewReader(a.body))
	})
}

// load reads the files of the page and tells the index where it lives.
func load(base string) map[string]asset {
	assets := map[string]asset{}
	entries, err := page.ReadDir("page")
	if err != nil {
		panic(err) // the files are part of the program
	}
	for _, e := range entries {
		text, err := page.ReadFile("page/" + e.Name())
		if err != nil {
			panic(err)
		}
		body := string(text)
		if e.Name() == index {
			body = strings.ReplaceAll(body, "{base}", html.EscapeString(base))
		}
		assets[e.Name()] = asset{body: body, tag: fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(body)))}
	}
	return assets
}
