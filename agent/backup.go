package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"lictor/acl"
	"lictor/backup"
	"lictor/catalog"
	"lictor/config"
	"lictor/raftstore"
	"lictor/state"
	"lictor/telemetry"
)

const (
	backupLook     = time.Second // between looks at what is due
	backupRetry    = 10 * time.Second
	backupRetryMax = 10 * time.Minute
	backupDuty     = "backup" // in catalog.DutyMeta
)

// A keeper makes automatic backups on the leader, and tells in the catalog how that goes. It belongs to one goroutine.
type keeper struct {
	server  *server
	conf    config.Backup
	begun   time.Time // when this server took over, or when the section last changed
	job     *backup.Job
	close   func() // of the job's store
	forced  bool   // one is due whatever the last one says
	tidied  bool   // no other node has the service any more
	running chan result
	retry   time.Time // no attempt before
	failed  int       // in a row
	err     error     // of the last attempt
}

// A result is what an attempt came to.
type result struct {
	last *backup.Last
	err  error
}

// backUp makes automatic backups: a duty of the leader.
func (s *server) backUp(ctx context.Context) {
	k := &keeper{server: s, begun: time.Now(), close: func() {}}
	defer func() {
		if k.running != nil {
			<-k.running // ctx ends it
		}
		k.close()
	}()
	tick := time.NewTicker(backupLook)
	defer tick.Stop()
	for {
		k.look(ctx)
		select {
		case r := <-k.running:
			k.ended(ctx, r)
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look does what is due now.
func (k *keeper) look(ctx context.Context) {
	now := time.Now()
	if conf := k.server.agent.current.Load().Backup; k.running == nil && !reflect.DeepEqual(conf, k.conf) {
		k.configure(conf, now)
	}
	if k.conf.On() && k.running == nil && !now.Before(k.due(now)) {
		k.begin(ctx, now)
	}
	k.tell(ctx, now)
}

// configure takes over a section. Another destination gets an archive at once.
func (k *keeper) configure(conf config.Backup, now time.Time) {
	k.close()
	k.forced = k.conf.On() && (k.conf.Local != conf.Local || k.conf.S3 != conf.S3)
	old := k.conf.Snapshot.Service
	k.conf, k.begun, k.retry, k.failed, k.err, k.tidied = conf, now, time.Time{}, 0, nil, false
	k.job, k.close = nil, func() {}
	if old != "" && old != conf.Snapshot.Service {
		k.withdraw(k.server.agent.ctx, old)
	}
}

func (k *keeper) due(now time.Time) time.Time {
	due := now
	if !k.forced {
		due = backup.Due(k.last(), k.conf.Snapshot.Interval, now)
	}
	if due.Before(k.retry) {
		return k.retry
	}
	return due
}

func (k *keeper) last() *backup.Last {
	return backup.Newest(k.server.node.DB().Read().Unwatched())
}

// begin starts an attempt, which ends with ctx or when it takes far longer than it may.
func (k *keeper) begin(ctx context.Context, now time.Time) {
	k.running = make(chan result, 1)
	job, err := k.open()
	if err != nil {
		k.running <- result{err: err}
		return
	}
	limit := max(k.conf.Snapshot.Interval, time.Hour)
	ended := k.running
	k.server.agent.running.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		last, err := job.Run(ctx)
		k.server.agent.metrics.Sample("snapshot_agent.save").Since(now)
		ended <- result{last, err}
	})
}

// open makes the job that the section asks for.
func (k *keeper) open() (*backup.Job, error) {
	if k.job != nil {
		return k.job, nil
	}
	raft := k.server.services.raft
	job := &backup.Job{Retain: k.conf.Snapshot.Retain, Store: backup.Directory(k.conf.Local.Path), Verify: raftstore.VerifyArchive,
		Cluster: raftstore.ClusterID(k.server.node.DB().Read().Unwatched()),
		Save: func(ctx context.Context, w io.Writer) (index uint64, err error) {
			err = raft.Save(ctx, acl.AllowAll(), state.ReadOptions{}, w, func(at uint64, _ state.ReadMeta) { index = at })
			return index, err
		}}
	if c := &k.conf.S3; c.Bucket != "" {
		bucket, err := backup.OpenBucket(backup.BucketConfig{Bucket: c.Bucket, Prefix: c.Prefix, Region: c.Region, Endpoint: c.Endpoint, CAFile: c.CAFile,
			AccessKey: c.AccessKey, SecretKey: c.SecretKey, PathStyle: c.PathStyle, Encrypt: c.Encrypt, KMS: c.KMS, KMSKey: c.KMSKey})
		if err != nil {
			return nil, err
		}
		job.Store, job.Static, k.close = bucket, c.Static, bucket.Close
	}
	k.job = job
	return job, nil
}

// ended takes in what an attempt came to.
func (k *keeper) ended(ctx context.Context, r result) {
	k.running = nil
	a := k.server.agent
	if r.last != nil {
		k.forced = false
		if _, err := k.server.node.Apply(ctx, &backup.Note{Last: *r.last}); err != nil {
			r.err = errors.Join(r.err, fmt.Errorf("remember the archive: %w", err))
		} else {
			a.log.Info("a backup was made and read back", "name", r.last.Name, "index", r.last.Index, "bytes", r.last.Size)
		}
	}
	if k.err = r.err; r.err == nil {
		k.failed = 0
		return
	}
	if ctx.Err() != nil {
		return
	}
	k.close() // keys and authorities of files may have changed when the next attempt begins
	k.job, k.close = nil, func() {}
	k.failed++
	a.metrics.Counter("snapshot_agent.failures").Inc()
	wait := min(backupRetry<<min(k.failed-1, 10), backupRetryMax, max(k.conf.Snapshot.Interval, backupLook))
	k.retry = time.Now().Add(wait)
	a.log.Error("a backup failed", "failures", k.failed, "again_in", wait, "error", r.err)
}

// verdict is what the check says. It changes only when something has happened.
func (k *keeper) verdict(now time.Time) (status, output string) {
	last := k.last()
	since, limit := k.begun, k.conf.Snapshot.MaxAge
	if limit == 0 {
		limit = 3 * k.conf.Snapshot.Interval
	}
	output = fmt.Sprintf("There is no archive yet; this server has been at it since %s.", since.UTC().Format(time.RFC3339))
	if last != nil {
		since = last.When()
		output = fmt.Sprintf("The last good archive is %s of %s: index %d, %d bytes.", last.Name, since.UTC().Format(time.RFC3339), last.Index, last.Size)
	}
	late := now.Sub(since) > limit
	if late {
		output += fmt.Sprintf(" That is more than %s ago.", limit)
	}
	status = catalog.Passing
	if k.failed > 0 {
		output += fmt.Sprintf(" Attempts that failed since: %d, the last one with: %v", k.failed, k.err)
	}
	switch {
	case late || k.failed >= k.conf.Snapshot.MaxFailures:
		return catalog.Critical, output
	case k.failed > 0 || last == nil:
		return catalog.Warning, output
	}
	return status, output
}

// tell brings the catalog in line with how backups go.
func (k *keeper) tell(ctx context.Context, now time.Time) {
	name := k.conf.Snapshot.Service
	if !k.tidied && name != "" {
		k.tidied = k.withdraw(ctx, name)
	}
	if !k.conf.On() || name == "" {
		return
	}
	a := k.server.agent
	node, tx := a.cfg.Node.Name, k.server.node.DB().Read().Unwatched()
	have := catalog.FindInstance(tx, node, name)
	if have != nil && have.Meta[catalog.DutyMeta] != backupDuty {
		return // somebody else's
	}
	id := "service:" + name
	status, output := k.verdict(now)
	if c := catalog.FindCheck(tx, node, id); have != nil && c != nil && c.Status == status && c.Output == output {
		return
	}
	r := a.selfRegistration()
	r.SkipNodeUpdate = true
	r.Service = &catalog.Instance{ID: name, Service: name, Tags: []string{}, Weights: &catalog.Weights{Passing: 1, Warning: 1},
		Meta: map[string]string{catalog.DutyMeta: backupDuty}}
	r.Checks = []*catalog.Check{{Node: node, CheckID: id, Name: "Automatic backups", Status: status, Output: output, ServiceID: name, ServiceName: name}}
	if err := k.server.write(ctx, r); err != nil && ctx.Err() == nil {
		a.log.Warn("failed to tell in the catalog how backups go", "error", err)
	}
}

// withdraw takes the service from all nodes but, while there are backups, this one. It tells whether it could.
func (k *keeper) withdraw(ctx context.Context, service string) bool {
	done := true
	tx := k.server.node.DB().Read().Unwatched()
	for n := range catalog.AllNodes(tx) {
		i := catalog.FindInstance(tx, n.Node, service)
		stays := n.Node == k.server.agent.cfg.Node.Name && k.conf.On() && k.conf.Snapshot.Service == service
		if i == nil || stays || i.Meta[catalog.DutyMeta] != backupDuty {
			continue
		}
		_, err := k.server.node.Apply(ctx, &catalog.Deregister{Node: n.Node, ServiceID: i.ID})
		done = done && err == nil
	}
	return done
}

// startBackupMetrics tells of backups on all servers, from what they all know.
func (s *server) startBackupMetrics(r *telemetry.Registry) {
	r.Collect(func(emit telemetry.Emit) {
		if !s.agent.current.Load().Backup.On() {
			return
		}
		last := backup.Newest(s.node.DB().Read().Unwatched())
		if last == nil {
			return
		}
		emit("snapshot_agent.age", max(0, time.Since(last.When()).Seconds()))
		emit("snapshot_agent.index", float64(last.Index))
		emit("snapshot_agent.size", float64(last.Size))
	})
}
