//go:build windows || plan9

package logging

import "errors"

func dialSyslog(string) (priorityWriter, error) {
	return nil, errors.New("syslog: there is none on this system")
}
