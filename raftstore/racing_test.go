//go:build race

package raftstore

const racing = true
