//go:build tools

// Package tools names the command that tests/cluster/build.py builds, so that `go mod tidy` keeps what it needs.
package tools

import _ "sigs.k8s.io/kind"
