// Package chaos holds tests (of the build tag chaos, `make chaos`) that run a cluster of real processes, each in a network
// namespace of its own, cut, pause, kill and depose its servers at random while clients read and write, and then ask
// whether the history of what the clients saw can be true. It knows the cluster only from outside: its API, its processes
// and its network. There is nothing in it to be used.
//
// What has to hold of a history:
//
//   - put, cas and delete together with the reads that asked for consistency are linearizable;
//   - so are they together with the default reads, except that a leader that was stopped in the middle of an answer may
//     give one that was true when its lease was;
//   - a stale read never shows a value that nobody wrote, or that was refused, and one process never goes back in it.
//
// A write whose answer did not come may have been carried out at any later time, or never. Only what the cluster says
// with certainty, as "No cluster leader", is taken for not done.
//
// Beside them others contend for locks, by the API and by `lictor lock`, which is stopped in the middle now and then. Each holder
// writes to a register, in a transaction that checks its session and shows the lock. What has to hold: whoever has lost a lock
// never writes under it again, and CreateIndex and LockIndex of a lock, which fence its holders, only grow, in the time of the
// clients as in the order of the log.
//
// Datacenters are joined by a wan of TUN devices, whose links this process makes late, lossy or dead; what has to hold there is said
// by the tests themselves.
package chaos
