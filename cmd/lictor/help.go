package main

import (
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

const helpWidth = 100

// writeHelp prints what a command is for, how it is called and which flags it takes.
func writeHelp(w io.Writer, row command, children []*cobra.Command) {
	usage := strings.TrimSpace("lictor " + row.name)
	if row.new == nil {
		usage += " <subcommand>"
	}
	fmt.Fprintf(w, "Usage: %s\n\n", strings.TrimSpace(usage+" "+row.args))
	fmt.Fprintln(w, wrap(row.about, "  ", helpWidth))
	if row.example != "" {
		fmt.Fprintf(w, "\nExample:\n\n")
		for line := range strings.SplitSeq(row.example, "\n") {
			fmt.Fprintf(w, "  $ %s\n", line)
		}
	}
	if row.new != nil {
		writeFlags(w, row)
		return
	}
	fmt.Fprintf(w, "\nSubcommands:\n\n")
	var rows [][]string
	for _, child := range children {
		if !child.Hidden {
			rows = append(rows, []string{child.Name(), child.Short})
		}
	}
	writeColumns(w, rows, "  ")
}

// writeFlags prints a command's own flags, then those that all commands share which talk to an agent.
func writeFlags(w io.Writer, row command) {
	shared := flag.NewFlagSet("", flag.ContinueOnError)
	new(console).clientFlags(shared)
	fs := row.flags()
	var own, client []*flag.Flag
	fs.VisitAll(func(f *flag.Flag) {
		if g := shared.Lookup(f.Name); g != nil && g.Usage == f.Usage {
			client = append(client, f)
		} else {
			own = append(own, f)
		}
	})
	writeSection(w, "Flags", own)
	writeSection(w, "Client flags", client)
}

func writeSection(w io.Writer, title string, flags []*flag.Flag) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, f := range flags {
		name, usage := flag.UnquoteUsage(f)
		form := "-" + f.Name
		if name != "" {
			form += "=<" + name + ">"
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			usage += " Default: " + f.DefValue + "."
		}
		fmt.Fprintf(w, "\n  %s\n%s\n", form, wrap(usage, "      ", helpWidth))
	}
}

// wrap breaks text into lines of at most width characters, each of which begins with indent.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	used := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case used == 0:
			b.WriteString(indent)
			used = len(indent)
		case used+1+len(word) > width:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	return b.String()
}
