package testcluster

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// waiting is how many blocking reads and streams wait at a server.
func waiting(n *Node) int {
	n.cluster.Helper()
	var metrics struct {
		Gauges []struct {
			Name  string
			Value float64
		}
	}
	if err := json.Unmarshal([]byte(n.Get("/v1/agent/metrics")), &metrics); err != nil {
		n.cluster.Fatal(err)
	}
	for _, g := range metrics.Gauges {
		if strings.HasSuffix(g.Name, ".rpc.queries_blocking") { // after the name of the host
			return int(g.Value)
		}
	}
	return 0
}

// nodeID is the id that an agent has drawn.
func nodeID(n *Node) string {
	n.cluster.Helper()
	var self struct{ Config struct{ NodeID string } }
	if err := json.Unmarshal([]byte(n.Get("/v1/agent/self")), &self); err != nil {
		n.cluster.Fatal(err)
	}
	return self.Config.NodeID
}

// What a client agent follows moves to where it would be opened now, a few at a time, as another server leads and as one comes
// and leads. Those who wait for changes meanwhile miss none that they could have seen, and no index goes back.
func TestStreamsMove(t *testing.T) {
	const keys = 40
	Run(t, 3, 1, "", func(c *Cluster) {
		client := c.Node("c1")
		var done sync.WaitGroup
		stop := make(chan struct{})
		ended := make([]int, keys) // the value that each watcher saw last
		for i := range keys {
			client.Put(fmt.Sprint("k", i), "0")
			done.Go(func() { ended[i] = watchNumber(c, client, fmt.Sprint("k", i), stop) })
		}
		newest := 0
		moved := func(from, to *Node) {
			t.Helper()
			c.Eventually("the streams are at the first leader", func() bool { return waiting(from) >= keys })
			if a := from.Ask("POST", "/v1/operator/raft/transfer-leader?id="+nodeID(to), ""); !a.OK() {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			c.Eventually("the other one leads", func() bool { return to.Leads() })
			c.Sleep(time.Minute)
			if n := waiting(from); n < keys {
				t.Errorf("after a minute, %d of %d streams are left", n, keys)
			}
			partly := false
			for range 15 * 60 {
				c.Sleep(time.Second)
				n := waiting(to)
				partly = partly || n >= balanceMin && n < keys
				if newest++; newest%20 == 0 {
					for i := range keys {
						client.PutAgain(fmt.Sprint("k", i), strconv.Itoa(newest))
					}
				}
			}
			if waiting(to) < keys || !partly {
				t.Errorf("%d of %d streams have moved, some before others: %t", waiting(to), keys, partly)
			}
			if waiting(from) >= balanceMin {
				t.Errorf("%d streams have stayed", waiting(from))
			}
		}
		first := c.Leader()
		moved(first, c.Follower())
		fourth := c.Add("s4", true, "bootstrap_expect = 3")
		c.Settled()
		c.Sleep(time.Minute) // until it has a vote
		moved(c.Leader(), fourth)
		for i := range keys {
			client.PutAgain(fmt.Sprint("k", i), "1000000")
		}
		c.Sleep(time.Second)
		close(stop)
		done.Wait()
		for i, n := range ended {
			if n != 1000000 {
				t.Errorf("who waited for k%d has last seen %d", i, n)
			}
		}
	})
}

// balanceMin is how many streams move at once, at least, by agent/streams.go.
const balanceMin = 16

// watchNumber reads a key again and again, each time it changes, and fails the test when its index or its number goes back.
// It returns the last number.
func watchNumber(c *Cluster, n *Node, key string, stop <-chan struct{}) (number int) {
	index := 0
	for {
		a := n.Ask("GET", fmt.Sprintf("/v1/kv/%s?raw&wait=10s&index=%d", key, index), "")
		at, err := strconv.Atoi(a.Header.Get("X-Consul-Index"))
		now, err2 := strconv.Atoi(a.Body)
		if err != nil || err2 != nil || at < index || now < number {
			c.Errorf("%s: %d %q at index %d, after %d at index %d", key, a.Status, a.Body, at, number, index)
			return number
		}
		index, number = at, now
		select {
		case <-stop:
			return number
		default:
		}
	}
}
