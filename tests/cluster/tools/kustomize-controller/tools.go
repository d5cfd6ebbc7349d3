//go:build tools

// Package kustomizecontroller names the programs that are built from this module.
package kustomizecontroller

import (
	_ "github.com/fluxcd/kustomize-controller"
)
