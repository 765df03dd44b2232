package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// inspectOptions are the flags of snapshot inspect.
type inspectOptions struct {
	format string
	keys   bool
	depth  int
	filter string
}

func newSnapshotInspect(fs *flag.FlagSet, c *console) runFunc {
	var o inspectOptions
	fs.StringVar(&o.format, "format", "pretty", "The `format` to print in, pretty or json.")
	fs.BoolVar(&o.keys, "kvdetails", false, "Count keys by the beginnings of their names, too.")
	fs.IntVar(&o.depth, "kvdepth", 2, "With -kvdetails: take this `number` of parts of the names, 0 for all.")
	fs.StringVar(&o.filter, "kvfilter", "", "With -kvdetails: count only keys with this `prefix`.")
	return func(_ context.Context, args []string) error {
		name, err := oneFile(args)
		if err != nil {
			return err
		}
		report, err := o.inspect(name)
		var missing *os.PathError
		switch {
		case errors.As(err, &missing):
			return failf("Error opening snapshot file: %w", err)
		case err != nil:
			return failf("Error reading snapshot: %w", err)
		case o.format == "json":
			return c.json(report)
		case o.format != "pretty":
			return failf("Error outputting enhanced snapshot data: Unknown format: %s", o.format)
		}
		report.print(c, o.keys)
		return nil
	}
}

// A tally counts what snapshots hold of one kind.
type tally struct {
	Name  string
	Count int
	Sum   int // bytes
}

// A contents is what snapshot inspect prints.
type contents struct {
	Meta        archiveMeta
	Stats       []tally
	TotalSize   int
	StatsKV     []tally `json:",omitempty"`
	TotalSizeKV int     `json:",omitempty"`
}

func (o inspectOptions) inspect(name string) (*contents, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, keys := map[string]*tally{}, map[string]*tally{}
	report := &contents{}
	report.Meta, err = readArchive(file, func(state io.Reader) error {
		return readRows(state, func(r row) error {
			add(rows, r.kind, r.size)
			report.TotalSize += r.size
			if o.keys && r.kind == "KVS" && strings.HasPrefix(r.key, o.filter) {
				add(keys, o.beginning(r.key), r.size)
				report.TotalSizeKV += r.size
			}
			return nil
		})
	})
	report.Stats, report.StatsKV = sorted(rows), sorted(keys)
	return report, err
}

func (o inspectOptions) beginning(key string) string {
	parts := strings.Split(key, "/")
	if o.depth > 0 && len(parts) > o.depth {
		parts = parts[:o.depth]
	}
	return strings.Join(parts, "/")
}

func add(to map[string]*tally, name string, size int) {
	t := to[name]
	if t == nil {
		t = &tally{Name: name}
		to[name] = t
	}
	t.Count++
	t.Sum += size
}

func sorted(m map[string]*tally) []tally {
	var all []tally
	for _, t := range m {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b tally) int { return cmp.Or(cmp.Compare(b.Sum, a.Sum), cmp.Compare(a.Name, b.Name)) })
	return all
}

func (r *contents) print(c *console, keys bool) {
	writeColumns(c.out, [][]string{
		{"ID", r.Meta.ID}, {"Size", fmt.Sprint(r.Meta.Size)}, {"Index", fmt.Sprint(r.Meta.Index)},
		{"Term", fmt.Sprint(r.Meta.Term)}, {"Version", fmt.Sprint(r.Meta.Version)},
	}, " ")
	printTallies(c, "Type", r.Stats, r.TotalSize)
	if keys {
		printTallies(c, "Key Name", r.StatsKV, r.TotalSizeKV)
	}
}

func printTallies(c *console, title string, tallies []tally, total int) {
	table := [][]string{{title, "Count", "Size"}, {"----", "----", "----"}}
	for _, t := range tallies {
		table = append(table, []string{t.Name, fmt.Sprint(t.Count), bytesText(t.Sum)})
	}
	table = append(table, []string{"----", "----", "----"}, []string{"Total", "", bytesText(total)})
	c.printf("\n")
	writeColumns(c.out, table, " ")
}

func bytesText(n int) string {
	size, unit := float64(n), 0
	for size >= 1024 && unit < 3 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.1f%s", size, []string{"B", "KB", "MB", "GB"}[unit])
}
