//go:build tools

// Package actionlint names the program that is built from this module.
package actionlint

import (
	_ "github.com/rhysd/actionlint/cmd/actionlint"
)
