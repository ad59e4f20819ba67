// Package defaults carries the shipped secureclaw.yaml inside the programs, so that a first run
// needs no file and a missing section has its safe value. It holds bytes and decides nothing; they
// are read by package config. See [YAML].
package defaults

import _ "embed" // for the directive below

// YAML is config/secureclaw.yaml as it is shipped.
//
//go:embed secureclaw.yaml
var YAML []byte
