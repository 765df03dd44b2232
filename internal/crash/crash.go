// Package crash holds a test (of the build tag crash, `make crash`) that kills a real server with SIGKILL under load and
// damages the end of its log, over and over, and looks for every write that was acknowledged. It knows the server only
// from outside: its API, its process and its files. There is nothing in it to be used.
//
// What may be damaged: a loss of power can tear the write that is under way, which is never one that was acknowledged,
// as a write is acknowledged after its fsync. So the test cuts and garbles behind the last acknowledged write only, and
// then every one of them has to be there. On a copy of the data it goes further and cuts and garbles anywhere, as a
// failing disk would. What is cut off at the end leaves no trace, so there the server has to come up with everything
// before the cut; where bytes are wrong in front of whole ones, it can tell, and has to refuse to start.
package crash
