package main

import (
	"os/exec"
	"runtime"
)

// openBrowser shows a page in the user's browser where that is possible: by the program that the environment variable
// BROWSER names, or by that of the system. Whoever sees no browser has been told the address.
func (c *console) openBrowser(address string) {
	program, args := c.getenv("BROWSER"), []string{address}
	switch {
	case program != "":
	case runtime.GOOS == "darwin":
		program = "open"
	case runtime.GOOS == "windows":
		program, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	case c.getenv("DISPLAY") != "" || c.getenv("WAYLAND_DISPLAY") != "":
		program = "xdg-open"
	default:
		return
	}
	cmd := exec.Command(program, args...)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}
