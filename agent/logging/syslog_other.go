//go:build windows || plan9

package logging

import "errors"

func dialSyslog(string) (priorityWriter, error) {
	return nil, errors.New("there is no syslog on this system")
}
