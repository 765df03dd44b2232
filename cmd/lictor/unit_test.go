package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestUnitRefusesBadReload runs what dist/lictor.service runs first on a reload, where the configuration is refused:
// systemd must not take the end of it for a success, or it goes on and says that the agent was reloaded.
func TestUnitRefusesBadReload(t *testing.T) {
	unit, err := os.ReadFile("../../dist/lictor.service")
	if err != nil {
		t.Fatal(err)
	}
	reload := settings(string(unit), "ExecReload")
	if len(reload) == 0 {
		t.Fatal("the unit has no ExecReload")
	}
	refusing := filepath.Join(t.TempDir(), "lictor")
	if err := os.WriteFile(refusing, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err = exec.Command("/bin/sh", "-c", strings.ReplaceAll(reload[0], "/usr/local/bin/lictor", refusing)).Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%s: got %v, want a refusal", reload[0], err)
	}
	taken := strings.Fields(strings.Join(settings(string(unit), "SuccessExitStatus"), " "))
	if code := strconv.Itoa(exit.ExitCode()); slices.Contains(taken, code) {
		t.Errorf("%s ends with %s, which SuccessExitStatus takes for a success", reload[0], code)
	}
}

// settings returns the values of a setting of a unit file, in their order.
func settings(unit, name string) []string {
	var values []string
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}
