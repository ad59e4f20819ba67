package gateway

import "github.com/secureclaw/secureclaw/internal/seal"

// Seal takes from this process, for good, the power to start another one and to look into others.
// The program that becomes the gateway calls it before anything else; see [seal.Process].
func Seal() error { return seal.Process() }
