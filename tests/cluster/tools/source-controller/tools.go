//go:build tools

// Package sourcecontroller names the programs that are built from this module.
package sourcecontroller

import (
	_ "github.com/fluxcd/source-controller"
)
