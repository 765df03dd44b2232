package config

import (
	"strings"
	"time"
)

// Join is how this agent finds the others, and how it goes.
type Join struct {
	RetryJoin        []string      `config:"retry_join" debug:"RetryJoinLAN"`                               // addresses to join, again and again until one answers
	RetryInterval    time.Duration `config:"retry_interval" debug:"RetryJoinIntervalLAN"`                   // pause between attempts to join
	RetryMax         int           `config:"retry_max" debug:"RetryJoinMaxAttemptsLAN"`                     // attempts before the agent gives up and ends; 0 means no end
	RejoinAfterLeave bool          `config:"rejoin_after_leave" debug:"RejoinAfterLeave"`                   // join again at the next start although the agent has left
	LeaveOnTerminate bool          `config:"leave_on_terminate" debug:"LeaveOnTerm"`                        // leave the cluster on SIGTERM; by default true on clients, false on servers
	SkipLeaveOnInt   bool          `config:"skip_leave_on_interrupt" debug:"SkipLeaveOnInt"`                // do not leave on SIGINT; by default false on clients, true on servers
	ReconnectTimeout time.Duration `config:"reconnect_timeout" debug:"ReconnectTimeoutLAN"`                 // when a failed member is forgotten
	AdvertiseTimeout time.Duration `config:"advertise_reconnect_timeout" debug:"AdvertiseReconnectTimeout"` // when the others shall forget this agent after it failed
}

func defaultJoin() Join {
	return Join{RetryInterval: 30 * time.Second, ReconnectTimeout: 72 * time.Hour, LeaveOnTerminate: true}
}

// complete derives the rules of leaving from the agent's kind and checks the rest.
func (j *Join) complete(r *report, server bool) {
	if !r.isSet("leave_on_terminate") {
		j.LeaveOnTerminate = !server
	}
	if !r.isSet("skip_leave_on_interrupt") {
		j.SkipLeaveOnInt = server
	}
	atLeast(r, "retry_max", j.RetryMax, 0)
	r.positive("retry_interval", j.RetryInterval)
	r.notNegative("advertise_reconnect_timeout", j.AdvertiseTimeout)
	checkReconnect(r, "reconnect_timeout", j.ReconnectTimeout)
	for _, address := range j.RetryJoin {
		if strings.Contains(address, "provider=") {
			r.warn("retry_join: %q asks a cloud for addresses, which this agent cannot do: it is passed over", address)
		}
	}
}

// shortReconnect is a time in which a host may well be repaired.
const shortReconnect = 8 * time.Hour

// checkReconnect takes any time, and warns of one so short that failed members are gone before somebody has looked.
func checkReconnect(r *report, key string, d time.Duration) {
	r.positive(key, d)
	if d > 0 && d < shortReconnect && r.isSet(key) {
		r.warn("%s is %s: members that failed are forgotten so soon, with their services", key, d)
	}
}
