package raftstore

import (
	"slices"

	"lictor/acl"
	"lictor/backup"
	"lictor/ca"
	"lictor/catalog"
	"lictor/configentry"
	"lictor/coordinate"
	"lictor/kv"
	"lictor/kvreplication"
	"lictor/query"
	"lictor/session"
	"lictor/state"
)

// Tables is THE list of tables of the replicated state. Their names and order are part of the snapshot's format.
func Tables() []state.AnyTable {
	return slices.Concat(
		kv.Tables(),
		ca.Tables(),
		catalog.Tables(),
		coordinate.Tables(),
		session.Tables(),
		acl.Tables(),
		configentry.Tables(),
		backup.Tables(),
		query.Tables(),
		kvreplication.Tables(),
		[]state.AnyTable{autopilotTable, clusterTable},
	)
}
