// Lictor's command line: the agent and all commands that talk to one. commands.go lists the commands; each group of
// them has a file with its flags and its code. Nothing here knows how an agent works inside.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	c := &console{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, signals: signals}
	os.Exit(run(context.Background(), c, os.Args[1:]))
}
