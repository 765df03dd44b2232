package ca

import "lictor/rpc"

//go:generate go tool msgp -o introduce_gen.go -tests=false -io=false

// IntroduceMethod asks for all that a client agent needs to be part of the cluster. Who has a token that introduces it
// may ask; there is no ACL token yet.
var IntroduceMethod = rpc.Method[Introduce, *Introduction]{Name: "AutoConfig.InitialConfiguration", Anywhere: true, Repeatable: true}

// An Introduce is how an agent introduces itself.
type Introduce struct {
	Node       string
	Datacenter string
	Segment    string
	Partition  string
	JWT        string
	CSR        string // as in SignRequest
}

// An Introduction is what it gets.
type Introduction struct {
	Settings string  // configuration, JSON
	Signed   *Signed `msg:"Signed,allownil"`
}
