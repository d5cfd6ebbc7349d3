//go:build tools

// Package etcd names the programs that are built from this module.
package etcd

import (
	_ "go.etcd.io/etcd/server/v3"
)
