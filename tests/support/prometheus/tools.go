//go:build tools

// Package prometheus pins what tests/support/prometheus builds.
package prometheus

import _ "github.com/prometheus/prometheus/cmd/promtool"
