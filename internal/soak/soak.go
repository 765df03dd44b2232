// Package soak holds a test (of the build tag soak, `make soak`) that runs three servers and a client agent for an hour
// (SOAK_TIME) under locks and sessions, kills the leader every minute, and looks for what only time shows: a lock with two
// holders, a session that ends too early, goroutines, memory and files that grow. It knows the cluster only from outside:
// its API, through Consul's own client, and its processes. There is nothing in it to be used.
//
// What has to hold:
//
//   - Whoever holds a lock writes to a register, in a transaction that checks its session and shows the lock. In the order
//     of the log (the ModifyIndex of the register) the lock passes from one holder to the next and never back: CreateIndex
//     and LockIndex of the lock, which fence its holders, only grow, and each pair belongs to one session.
//   - A semaphore never has more holders than its limit.
//   - A session that is renewed lives, and one that is not ends no earlier than twice its TTL and little later, whoever leads.
//   - No process ends by itself. What a process takes does not grow from one steady minute to the next.
package soak
