package config_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/secureclaw/secureclaw/internal/config"
)

// The schema that the shipped file names for editors is the one that `config schema` prints.
func TestShippedSchemaIsCurrent(t *testing.T) {
	want, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../config/secureclaw.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(want)) {
		t.Error("config/secureclaw.schema.json is out of date; mend: secureclaw config schema > config/secureclaw.schema.json")
	}
}
