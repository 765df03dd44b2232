package logging

import (
	"fmt"
	"log/slog"
	"strings"
)

// syslogTag names the program in syslog. Rules that sort lines by it were written for Consul.
const syslogTag = "consul"

const defaultFacility = "LOCAL0"

// priorityWriter is a connection to syslog.
type priorityWriter interface {
	write(level slog.Level, line []byte) error
	Close() error
}

// facilities returns the codes of facilities by their names.
func facilities() map[string]int {
	return map[string]int{
		"KERN": 0, "USER": 1, "MAIL": 2, "DAEMON": 3, "AUTH": 4, "SYSLOG": 5, "LPR": 6, "NEWS": 7, "UUCP": 8, "CRON": 9,
		"AUTHPRIV": 10, "FTP": 11, "LOCAL0": 16, "LOCAL1": 17, "LOCAL2": 18, "LOCAL3": 19, "LOCAL4": 20, "LOCAL5": 21,
		"LOCAL6": 22, "LOCAL7": 23,
	}
}

// facilityCode returns the code of a facility.
func facilityCode(name string) (int, error) {
	if name == "" {
		name = defaultFacility
	}
	code, ok := facilities()[strings.ToUpper(name)]
	if !ok {
		return 0, fmt.Errorf("unknown syslog facility %q: must be one of KERN, USER, MAIL, DAEMON, AUTH, SYSLOG, LPR, "+
			"NEWS, UUCP, CRON, AUTHPRIV, FTP, LOCAL0 to LOCAL7", name)
	}
	return code, nil
}
