package testcluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const gossipKey = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="

// Encryption of gossip is switched on in three rounds of restarts, one agent at a time, and nobody is lost meanwhile.
func TestGossipIsEncryptedStepByStep(t *testing.T) {
	Run(t, 3, 1, "", func(c *Cluster) {
		client := c.Node("c1")
		client.Put("a", "0")
		for step, flags := range []string{
			"encrypt_verify_incoming = false encrypt_verify_outgoing = false", // all can read it
			"encrypt_verify_incoming = false encrypt_verify_outgoing = true",  // all send it
			"encrypt_verify_incoming = true encrypt_verify_outgoing = true",   // nobody takes anything else
		} {
			for _, n := range c.Running() {
				n.Shutdown()
				n.hcl = append(slices.DeleteFunc(n.hcl, func(s string) bool { return strings.HasPrefix(s, "encrypt") }), fmt.Sprintf("encrypt = %q %s", gossipKey, flags))
				n.Start()
				c.Settled()
			}
			c.Sleep(30 * time.Second)
			c.Settled()
			client.PutAgain("a", fmt.Sprint(step+1))
		}
		plain := c.Add("stranger", false)
		c.Sleep(30 * time.Second)
		if got := c.Leader().Ask("GET", "/v1/agent/members", ""); len(got.Body) == 0 || strings.Contains(got.Body, "stranger") {
			t.Errorf("who has no key is a member: %s", got.Body)
		}
		plain.Kill()
	})
}
