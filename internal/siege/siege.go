// Package siege holds a measuring program (of the build tag siege, `make siege`): strangers besiege each port of a server and
// other users go on. For each attack it prints how long the users' requests take beside how long they take in calm, and
// what memory, files and CPU time the server needs. There is nothing in it to be used.
//
// The attackers are a process of their own, of the lowest priority and bounded in what they send, and come from another address
// of loopback. Calm and attack alternate, so that what else the machine does falls on both. Users are those of HTTP and of
// DNS over UDP, on connections that they keep; of HTTPS and of DNS over TCP, on a new one for each request; and a client agent
// that asks the server's port for RPC.
package siege
