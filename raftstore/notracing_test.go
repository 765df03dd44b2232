//go:build !race

package raftstore

const racing = false
