package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// A runFunc does what a command is for, with the arguments that follow its flags.
type runFunc func(ctx context.Context, args []string) error

// A command is one row of the list of commands.
type command struct {
	name    string // as it is typed after lictor, "kv get"
	args    string // what follows the name
	about   string // its first sentence stands in the lists of commands
	example string // command lines that can be typed as they are
	// new declares the command's flags and returns what to do once they are parsed. A group of commands has none.
	new    func(*flag.FlagSet, *console) runFunc
	files  bool // whether arguments are names of files, for completion
	daemon bool // whether it reads the console's signals itself
}

func (row command) flags() *flag.FlagSet {
	fs := flag.NewFlagSet(row.name, flag.ContinueOnError)
	row.new(fs, new(console))
	return fs
}

// run runs one command line and returns the exit code.
func run(ctx context.Context, c *console, args []string) int {
	code := exitOK
	root := tree(c, commands(), &code)
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return c.report(err, func(io.Writer) {})
	}
	return code
}

// tree builds cobra's commands from the list. The command that runs leaves its exit code in code.
func tree(c *console, rows []command, code *int) *cobra.Command {
	nodes := map[string]*cobra.Command{}
	for _, row := range rows {
		node := build(c, row, code)
		nodes[row.name] = node
		if row.name != "" {
			parent, _, _ := cutLast(row.name)
			nodes[parent].AddCommand(node)
		}
	}
	root := nodes[""]
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	addCompletion(c, root, code)
	return root
}

// addCompletion adds cobra's own command that completes command lines, which by itself takes any shell's name for good.
func addCompletion(c *console, root *cobra.Command, code *int) {
	root.InitDefaultCompletionCmd()
	node, _, err := root.Find([]string{"completion"})
	if err != nil || node == root {
		return
	}
	node.DisableSuggestions = true
	node.Args = cobra.ArbitraryArgs
	node.RunE = func(_ *cobra.Command, args []string) error {
		*code = c.report(c.group(node, command{name: "completion"}, args), func(io.Writer) { fmt.Fprint(c.err, node.UsageString()) })
		return nil
	}
}

// cutLast splits the name of a command into that of its group and the last word.
func cutLast(name string) (group, word string, found bool) {
	if at := strings.LastIndexByte(name, ' '); at >= 0 {
		return name[:at], name[at+1:], true
	}
	return "", name, false
}

func build(c *console, row command, code *int) *cobra.Command {
	_, word, _ := cutLast(row.name)
	if word == "" {
		word = "lictor"
	}
	short, _, _ := strings.Cut(row.about, ". ")
	node := &cobra.Command{
		Use: word, Short: strings.TrimSuffix(short, "."),
		DisableFlagParsing: true, SilenceErrors: true, SilenceUsage: true, DisableSuggestions: true,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: row.complete,
	}
	help := func(w io.Writer) { writeHelp(w, row, node.Commands()) }
	node.SetHelpFunc(func(target *cobra.Command, _ []string) {
		if target != node { // one of cobra's own
			fmt.Fprintf(c.out, "%s\n\n%s", target.Long, target.UsageString())
			return
		}
		help(c.out)
	})
	node.RunE = func(_ *cobra.Command, args []string) error {
		err := c.dispatch(node, row, args)
		if errors.Is(err, flag.ErrHelp) {
			help(c.out)
			return nil
		}
		*code = c.report(err, help)
		return nil
	}
	return node
}

// dispatch runs the command of a row, or says what is wrong with the arguments of a group.
func (c *console) dispatch(node *cobra.Command, row command, args []string) error {
	if row.new == nil {
		return c.group(node, row, args)
	}
	fs := flag.NewFlagSet(row.name, flag.ContinueOnError)
	do := row.new(fs, c)
	args, err := parse(fs, args)
	if err != nil {
		return err
	}
	ctx := node.Context()
	if !row.daemon {
		var stop func()
		ctx, stop = untilSignal(ctx, c.signals)
		defer stop()
	}
	return do(ctx, args)
}

func (c *console) group(node *cobra.Command, row command, args []string) error {
	code := exitError
	if row.name == "" {
		code = exitUnknown
	}
	if len(args) == 0 {
		return &failure{code: code, usage: true}
	}
	switch args[0] {
	case "-h", "-help", "--help":
		return flag.ErrHelp
	case "-v", "-version", "--version":
		if row.name == "" {
			return writeVersion(c, "pretty")
		}
	}
	message := fmt.Sprintf("lictor has no command %q.", strings.TrimSpace(row.name+" "+args[0]))
	node.SuggestionsMinimumDistance = 2
	if near := node.SuggestionsFor(args[0]); len(near) > 0 {
		message += fmt.Sprintf(" Did you mean %q?", strings.TrimSpace(row.name+" "+near[0]))
	}
	if strings.HasPrefix(args[0], "-autocomplete-") {
		return &failure{code: code, err: fmt.Errorf("%s 'lictor completion -help' says how a shell completes its commands", message)}
	}
	return &failure{code: code, err: fmt.Errorf("%s '%s -help' lists what there is", message, node.CommandPath())}
}

// untilSignal is a context that ends with the first signal. stop ends it, too, and waits for the goroutine behind it.
func untilSignal(ctx context.Context, signals <-chan os.Signal) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// complete offers a command's flags to the shell, and leaves names of files to it where they are wanted.
func (row command) complete(node *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(typed, "-") && row.new != nil {
		var names []string
		row.flags().VisitAll(func(f *flag.Flag) {
			name := "-" + f.Name
			if strings.HasPrefix(typed, "--") {
				name = "-" + name
			}
			if strings.HasPrefix(name, typed) {
				_, usage := flag.UnquoteUsage(f)
				names = append(names, name+"\t"+usage)
			}
		})
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	if row.files {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
