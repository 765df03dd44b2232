package query

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"lictor/acl"
	"lictor/catalog"
	"lictor/rpc"
	"lictor/state"
	"lictor/telemetry"
)

// The methods. Create answers the new query's ID, the others true.
var (
	CreateMethod = rpc.Method[Set, string]{Name: "PreparedQuery.Create"}
	UpdateMethod = rpc.Method[Set, bool]{Name: "PreparedQuery.Update"}
	DeleteMethod = rpc.Method[Delete, bool]{Name: "PreparedQuery.Delete"}
)

// A Keeper answers the package's methods and queries on a server.
type Keeper struct {
	Log        state.Log
	Catalog    *catalog.Service
	Datacenter string
	// Remotes are where queries fail over to; nil if there is nowhere.
	Remotes Remotes
	// Resolve finds what a token may do that a query has captured. What it looks at, it reads through tx, so that answers
	// are found anew when that changes. Nil is for where there are no ACLs: queries run with the asker's rights, which are
	// all rights.
	Resolve func(tx *state.Tx, token string) (acl.Authorizer, error)
	Times   Times
}

// Times are how long things take.
type Times struct{ Apply, Execute, Explain, Remote *telemetry.Sample }

// NewTimes registers the times.
func NewTimes(r *telemetry.Registry) Times {
	return Times{r.Sample("prepared-query.apply"), r.Sample("prepared-query.execute"), r.Sample("prepared-query.explain"), r.Sample("prepared-query.execute_remote")}
}

// Create makes a query.
func (k *Keeper) Create(ctx context.Context, az acl.Authorizer, s *Set) (string, error) {
	defer k.Times.Apply.Since(time.Now())
	if s.Query.ID != "" {
		return "", errHasID
	}
	s.Query.ID = newID()
	if err := mayWrite(az, &s.Query); err != nil {
		return "", err
	}
	return s.Query.ID, k.write(ctx, s)
}

// Update writes a query that is there.
func (k *Keeper) Update(ctx context.Context, az acl.Authorizer, s *Set) (bool, error) {
	defer k.Times.Apply.Since(time.Now())
	if err := mayWrite(az, &s.Query); err != nil {
		return false, err
	}
	if err := k.mayChange(ctx, az, s.Query.ID); err != nil {
		return false, err
	}
	err := k.write(ctx, s)
	return err == nil, err
}

// Delete removes a query that is there.
func (k *Keeper) Delete(ctx context.Context, az acl.Authorizer, d *Delete) (bool, error) {
	defer k.Times.Apply.Since(time.Now())
	if err := k.mayChange(ctx, az, d.ID); err != nil {
		return false, err
	}
	_, err := k.Log.Apply(ctx, d)
	return err == nil, err
}

func (k *Keeper) write(ctx context.Context, s *Set) error {
	if err := s.Query.validate(); err != nil {
		return rpc.Errorf(rpc.Internal, "Invalid prepared query: %v", err)
	}
	_, err := k.Log.Apply(ctx, s)
	return said(err)
}

func mayWrite(az acl.Authorizer, q *Query) error {
	if !q.guarded() {
		return nil
	}
	return acl.Require(az, acl.Query, q.Name, acl.Write)
}

// mayChange refuses a query that is not there, or that the token may not write.
func (k *Keeper) mayChange(ctx context.Context, az acl.Authorizer, id string) error {
	if _, err := k.Log.Fresh(ctx, state.ReadOptions{}); err != nil {
		return err
	}
	if err := checkID(id); err != nil {
		return rpc.Errorf(rpc.Internal, "Prepared Query lookup failed: %v", err)
	}
	old := Queries.Get(k.Log.DB().Read().Unwatched(), id)
	if old == nil {
		return errMissing(id)
	}
	return mayWrite(az, old)
}

// validate refuses what no query may be.
func (q *Query) validate() error {
	if len(q.Name) > maxName {
		return fmt.Errorf("Name: %d bytes; allowed are %d", len(q.Name), maxName)
	}
	if n := len(q.Template.Regexp); n > maxRegexp {
		return fmt.Errorf("Template.Regexp: %d bytes; allowed are %d", n, maxRegexp)
	}
	if !q.guarded() && q.Session == "" {
		return errNoSession
	}
	if q.Token == hidden {
		return errHidden
	}
	if err := q.Service.validate(); err != nil {
		return err
	}
	return q.DNS.validate()
}

func (s *Service) validate() error {
	f := &s.Failover
	switch {
	case s.Service == "":
		return errNoService
	case s.SamenessGroup != "" || s.Peer != "":
		return errSameness
	case f.NearestN < 0:
		return fmt.Errorf("Service.Failover.NearestN: %d; allowed is 0 or more", f.NearestN)
	case len(f.Targets) > 0 && (f.NearestN != 0 || len(f.Datacenters) > 0):
		return errTargets
	}
	for _, t := range f.Targets {
		if (t.Peer == "") == (t.Datacenter == "") {
			return errNoPlace
		}
	}
	return nil
}

func (d *DNS) validate() error {
	if d.TTL == "" {
		return nil
	}
	if ttl, err := time.ParseDuration(d.TTL); err != nil || ttl < 0 {
		return errTTL(d.TTL)
	}
	return nil
}

// newID makes a random identifier in the form of a UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
