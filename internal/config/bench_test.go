package config_test

import (
	"testing"

	defaults "github.com/secureclaw/secureclaw/config"
	"github.com/secureclaw/secureclaw/internal/config"
)

// Every process of the product reads the file once while it starts.
func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := config.Parse("secureclaw.yaml", defaults.YAML, "/home/ada"); err != nil {
			b.Fatal(err)
		}
	}
}
