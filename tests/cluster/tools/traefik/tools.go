//go:build tools

// Package traefik names the programs that are built from this module.
package traefik

import (
	_ "github.com/traefik/traefik/v3/pkg/version"
)
