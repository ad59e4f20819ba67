package config

import "testing"

// A number of tokens is no token, also under a name that is misspelt; what could hold a secret stays hidden.
func TestSecretNames(t *testing.T) {
	for name, want := range map[string]bool{
		"tokensPerDay": false, "tokensPerTask": false, "maxTokens": false,
		"tokenPerTask": false, "tokensPerDy": false, " tokenPerDay": false, "maxToken": false, "model": false,
		"token": true, "tokens": true, "botToken": true, "myTokens": true, "apiToken": true, "accessTokens": true,
		"tokenTelegram": true, "dayToken": true, "password": true, "clientSecret": true, "openai_key": true,
	} {
		if got := secretName(name); got != want {
			t.Errorf("secretName(%q) = %v, want %v", name, got, want)
		}
	}
}
