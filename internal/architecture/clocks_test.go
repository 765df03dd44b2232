package architecture

import (
	"regexp"
	"testing"
)

// dated are the files that make numbers of moments or moments of numbers, with the reason why they may.
var dated = map[string]string{
	"acl/moment.go":            "the end of a token is a moment by contract",
	"acl/types.go":             "the end of a token is a moment by contract",
	"agent/handshake.go":       "a deadline that is over for good",
	"agent/info.go":            "it is shown",
	"agent/local/restore.go":   "it outlives the process, and counts for a TTL at most",
	"agent/local/ttl.go":       "it outlives the process",
	"agent/logging/rotated.go": "it is a name",
	"backup/backup.go":         "it outlives the process, and the future counts as now",
	"claims/mapping.go":        "a login's claims are moments by contract",
	"cmd/lictor/snapshot.go":   "it is a name",
	"dnsserver/nodes.go":       "it is the serial number of a zone",
	"health/h2ping.go":         "a deadline that is over for good",
	"health/udp.go":            "a deadline that is over for good",
	"ui/directory.go":          "it is a name",
}

var dating = regexp.MustCompile(`\.Unix(Nano|Milli|Micro)?\(\)|\btime\.Unix(Milli|Micro)?\(`)

// A moment that is a number has lost the monotonic clock: what is measured with it is wrong when the machine's clock is set. So
// what is measured within a process is kept as a time.Time, or as the time since one.
func TestClocksAreNotBelieved(t *testing.T) {
	checkFiles(t, dating.MatchString, dated, "makes a number of a moment, or a moment of a number, and so believes the machine's clock: keep a time.Time, or the time since one")
}
