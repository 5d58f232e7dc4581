//go:build tools

// Package tools pins what this repository takes manifests from.
package tools

import _ "sigs.k8s.io/gateway-api/apis/v1"
