//go:build tools

// Package certmanager names the module that cert-manager's kinds are read from.
package certmanager

import (
	_ "github.com/cert-manager/cert-manager/pkg/apis/certmanager"
)
