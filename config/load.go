package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Options are the sources of a configuration.
type Options struct {
	Paths     []string // configuration files and directories, in the order of the command line
	Fragments []string // texts in HCL that are read after all files
	Format    string   // "hcl" or "json" for all files; empty means by the ends of their names
	Dev       bool     // start from the defaults of -dev
	Hostname  string   // default of node_name; empty asks the system

	given string // JSON that is read before all files; see Under

	// Interfaces gives the addresses of this host; nil asks the system.
	Interfaces func() ([]net.Addr, error)

	flags []field // keys that flags set, in the order of the command line; see FromFlags
}

// Loaded is a configuration that an agent can start with.
type Loaded struct {
	Config   *Config
	Warnings []string   // what works, but hardly as it is meant
	NoEffect []NoEffect // what is set, but does nothing in this version
	Sources  Sources    // where it was read from
	options  Options
	Origins  map[string]Origin // where each key was set, by dotted key; keys that are not in it have their default
}

// Sources are the files and directories that a configuration is read from.
type Sources struct {
	Paths  []string // as in Options
	Format string
}

// Files are the configuration files that are there now, in the order in which they are read. A path that cannot be read
// is left out.
func (s Sources) Files() []string {
	var files []string
	for _, path := range s.Paths {
		found, _ := expandPath(path, s.Format)
		files = append(files, found...)
	}
	return files
}

// Load reads, merges and checks a configuration. Later sources win: defaults, those of -dev, files in the order given
// (those of a directory in the order of their names), fragments, flags. Scalars override, lists append, maps and
// objects merge. The error is Problems if a source cannot be read or understood, and Invalid if the values of the
// whole cannot be used; both list all that was found.
func Load(o Options) (*Loaded, error) {
	if o.Format != "" && o.Format != "hcl" && o.Format != "json" {
		return nil, Invalid{Problems{{File: "-config-format", Text: fmt.Sprintf("is %q, but must be hcl or json", o.Format)}}}
	}
	cfg := Default()
	if o.Dev {
		cfg.develop()
	}
	l := &Loaded{Config: cfg, Sources: Sources{o.Paths, o.Format}, options: o}
	d := newDecoder()
	l.read(d, o)
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	l.Origins = d.origins
	r := &report{origins: d.origins, warnings: l.Warnings}
	l.finish(r, o)
	if len(r.problems) > 0 {
		return nil, Invalid{r.problems}
	}
	l.Warnings = r.warnings
	l.NoEffect = cfg.noEffect(d.origins, o.Dev)
	return l, nil
}

// Under loads the same sources again, over settings in JSON that they win over: those that servers give to a client agent.
func (l *Loaded) Under(given string) (*Loaded, error) {
	o := l.options
	o.given = given
	return Load(o)
}

// read decodes all sources in their order.
func (l *Loaded) read(d *decoder, o Options) {
	if o.given != "" {
		d.file = "auto_config"
		l.apply(d, []byte(o.given), "json")
	}
	for _, path := range o.Paths {
		files, p := expandPath(path, o.Format)
		if p != nil {
			d.problems = append(d.problems, *p)
		}
		for _, file := range files {
			l.readFile(d, file, o.Format)
		}
	}
	for i, text := range o.Fragments {
		d.file = "-hcl"
		if len(o.Fragments) > 1 {
			d.file = fmt.Sprintf("-hcl (number %d)", i+1)
		}
		l.apply(d, []byte(text), "hcl")
	}
	for _, f := range o.flags {
		d.file = "-" + f.name
		l.decode(d, f.value)
	}
}

// expandPath gives the files that a path stands for: the configuration files of a directory, or the path itself.
func expandPath(path, format string) ([]string, *Problem) {
	info, err := stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.IsDir() {
		if format == "" && formatOf(path) == "" {
			return nil, &Problem{File: path, Text: "the name must end in .hcl or .json, or -config-format must be given"}
		}
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	var files []string
	for _, e := range entries {
		file := filepath.Join(path, e.Name())
		info, err := os.Stat(file)
		if err != nil || info.IsDir() || format == "" && formatOf(file) == "" {
			continue
		}
		files = append(files, file)
	}
	slices.Sort(files)
	return files, nil
}

// stat opens a path to see what it is, so that errors are those of opening.
func stat(path string) (os.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return file.Stat()
}

func unreadable(path string, err error) *Problem {
	text := err.Error()
	var at *fs.PathError
	if errors.As(err, &at) {
		text = at.Op + ": " + at.Err.Error() // the path is in File
	}
	return &Problem{File: path, Text: text, summary: fmt.Sprintf("config: Open failed on %s. %v", path, err)}
}

// formatOf is the format that the end of a file's name stands for; empty if it stands for none.
func formatOf(path string) string {
	switch filepath.Ext(path) {
	case ".hcl":
		return "hcl"
	case ".json":
		return "json"
	}
	return ""
}

func (l *Loaded) readFile(d *decoder, file, format string) {
	d.file = file
	text, err := os.ReadFile(file)
	if err != nil {
		d.problem(*unreadable(file, err))
		return
	}
	if format == "" {
		format = formatOf(file)
	}
	l.apply(d, text, format)
}

// apply parses one text and decodes it. An empty text is an empty configuration.
func (l *Loaded) apply(d *decoder, text []byte, format string) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(text)) == 0 {
		return
	}
	parse := parseHCL
	if format == "json" || bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		parse = parseJSON
	}
	root, p := parse(text)
	if p != nil {
		p.summary = fmt.Sprintf("failed to parse %s: %s", d.file, cmp.Or(p.summary, p.Text))
		d.problem(*p)
		return
	}
	l.decode(d, root)
}

func (l *Loaded) decode(d *decoder, root *value) {
	for _, w := range modernize(root) {
		w = d.file + ": " + w
		if !slices.Contains(l.Warnings, w) {
			l.Warnings = append(l.Warnings, w)
		}
	}
	d.decode(reflect.ValueOf(l.Config).Elem(), "", root)
}

// finish completes and checks the merged configuration.
func (l *Loaded) finish(r *report, o Options) {
	c := l.Config
	if c.Node.Name == "" && !r.isSet("node_name") {
		c.Node.Name = o.Hostname
		if c.Node.Name == "" {
			c.Node.Name, _ = os.Hostname()
		}
	}
	c.Node.Name = strings.TrimSpace(c.Node.Name)
	c.check(r)
	c.Network.complete(r, c.Server.Server)
	interfaces := o.Interfaces
	if interfaces == nil {
		interfaces = net.InterfaceAddrs
	}
	(&resolver{report: r, interfaces: interfaces}).resolve(&c.Network, c.Server.Server)
}
