//go:build tools

// Package notificationcontroller names the programs that are built from this module.
package notificationcontroller

import (
	_ "github.com/fluxcd/notification-controller"
)
