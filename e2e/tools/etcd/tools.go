//go:build tools

// Package tools pins what this repository builds from source.
package tools

import _ "go.etcd.io/etcd/server/v3"
