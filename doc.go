// Package secureclaw is the root of the tree and holds no code: its test says which package may
// import which, so that the walls of ARCHITECTURE.md are a property of the build.
package secureclaw
