package capability_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/capability"
)

func TestVerifyAcceptsWhatWasMinted(t *testing.T) {
	c := order()
	got, err := capability.NewVerifier(public(gatewayKey(t)), at(noon)).Verify(mint(t, noon, c), []string{"shell", "file"}, task)
	if err != nil {
		t.Fatalf("Verify(Mint(c)) = %v, want the claims", err)
	}
	want := complete()
	want.ID = got.ID
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Verify(Mint(c)): claims differ (-want +got):\n%s", diff)
	}
}

// Every token here is refused, with the code that the audit log will hold. The first entry proves
// that tokens made by hand are good when nothing is wrong with them.
func TestVerifyRefuses(t *testing.T) {
	key := gatewayKey(t)
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := signed(key, goodHeader, payload(t, nil))
	if _, err := capability.NewVerifier(public(key), at(noon)).Verify(good, []string{"file"}, task); err != nil {
		t.Fatalf("Verify(token made by hand) = %v, want it to be good: the table below would prove nothing", err)
	}
	parts := strings.Split(good, ".")
	header := func(h string) string { return signed(key, h, payload(t, nil)) }
	claims := func(change func(*capability.Claims)) string { return signed(key, goodHeader, payload(t, change)) }
	text := func(old, new string) string {
		p := payload(t, nil)
		if !strings.Contains(p, old) {
			t.Fatalf("payload %s has no %s", p, old)
		}
		return signed(key, goodHeader, strings.Replace(p, old, new, 1))
	}

	for name, tc := range map[string]struct {
		token string
		code  capability.Code
	}{
		"one byte over the limit": {strings.Repeat("a", capability.MaxTokenBytes+1), capability.RefusedSize},
		"good, but too long":      {claims(func(c *capability.Claims) { c.Call = strings.Repeat("c", capability.MaxTokenBytes) }), capability.RefusedSize},

		"empty":                       {"", capability.RefusedFormat},
		"two segments":                {parts[0] + "." + parts[1], capability.RefusedFormat},
		"four segments":               {good + "." + parts[2], capability.RefusedFormat},
		"a dot behind":                {good + ".", capability.RefusedFormat},
		"a newline behind":            {good + "\n", capability.RefusedFormat},
		"a space before":              {" " + good, capability.RefusedFormat},
		"a newline in the signature":  {parts[0] + "." + parts[1] + "." + parts[2][:9] + "\n" + parts[2][9:], capability.RefusedFormat},
		"a line break in the payload": {signedSegments(key, parts[0], parts[1][:8]+"\r\n"+parts[1][8:]), capability.RefusedFormat},
		"padding":                     {good + "==", capability.RefusedFormat},
		"the other alphabet":          {parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43), capability.RefusedFormat},
		"spare bits in the signature": {good[:len(good)-1] + spareBits(good[len(good)-1]), capability.RefusedFormat},
		"junk behind":                 {good + "x", capability.RefusedFormat},
		"header is no JSON":           {header(`EdDSA`), capability.RefusedFormat},
		"header in another order":     {header(`{"typ":"secureclaw-cap+jwt","alg":"EdDSA"}`), capability.RefusedFormat},
		"header with a space":         {header(`{"alg": "EdDSA","typ":"secureclaw-cap+jwt"}`), capability.RefusedFormat},
		"header with two algorithms":  {header(`{"alg":"EdDSA","alg":"none","typ":"secureclaw-cap+jwt"}`), capability.RefusedFormat},
		"header in capitals":          {header(`{"Alg":"EdDSA","typ":"secureclaw-cap+jwt"}`), capability.RefusedFormat},
		"kid":                         {header(`{"alg":"EdDSA","kid":"../../dev/null","typ":"secureclaw-cap+jwt"}`), capability.RefusedFormat},
		"jku":                         {header(`{"alg":"EdDSA","jku":"https://evil.example/keys","typ":"secureclaw-cap+jwt"}`), capability.RefusedFormat},
		"jwk":                         {signed(stranger, `{"alg":"EdDSA","jwk":{"crv":"Ed25519","kty":"OKP","x":"`+b64(string(public(stranger)))+`"},"typ":"secureclaw-cap+jwt"}`, payload(t, nil)), capability.RefusedFormat},
		"x5u":                         {header(`{"alg":"EdDSA","typ":"secureclaw-cap+jwt","x5u":"https://evil.example/cert"}`), capability.RefusedFormat},
		"crit":                        {header(`{"alg":"EdDSA","crit":["b64"],"b64":false,"typ":"secureclaw-cap+jwt"}`), capability.RefusedFormat},

		"alg none":                          {b64(`{"alg":"none","typ":"secureclaw-cap+jwt"}`) + "." + parts[1] + ".", capability.RefusedAlgorithm},
		"alg None":                          {header(`{"alg":"None","typ":"secureclaw-cap+jwt"}`), capability.RefusedAlgorithm},
		"HS256 with the public key":         {hs256(public(key), payload(t, nil)), capability.RefusedAlgorithm},
		"RS256":                             {header(`{"alg":"RS256","typ":"secureclaw-cap+jwt"}`), capability.RefusedAlgorithm},
		"ES256":                             {header(`{"alg":"ES256","typ":"secureclaw-cap+jwt"}`), capability.RefusedAlgorithm},
		"Ed25519, the name of RFC 9864":     {header(`{"alg":"Ed25519","typ":"secureclaw-cap+jwt"}`), capability.RefusedAlgorithm},
		"no algorithm":                      {header(`{"typ":"secureclaw-cap+jwt"}`), capability.RefusedAlgorithm},
		"alg in another letter case":        {header(`{"alg":"eddsa","typ":"secureclaw-cap+jwt"}`), capability.RefusedAlgorithm},
		"typ of any JWT":                    {header(`{"alg":"EdDSA","typ":"JWT"}`), capability.RefusedType},
		"typ in another letter case":        {header(`{"alg":"EdDSA","typ":"SecureClaw-Cap+JWT"}`), capability.RefusedType},
		"no typ":                            {header(`{"alg":"EdDSA"}`), capability.RefusedType},
		"the wrong key":                     {signed(stranger, goodHeader, payload(t, nil)), capability.RefusedSignature},
		"no signature":                      {parts[0] + "." + parts[1] + ".", capability.RefusedSignature},
		"half a signature":                  {parts[0] + "." + parts[1] + "." + parts[2][:40], capability.RefusedSignature},
		"zero signature":                    {parts[0] + "." + parts[1] + "." + b64(strings.Repeat("\x00", 64)), capability.RefusedSignature},
		"another payload, same signature":   {parts[0] + "." + b64(payload(t, func(c *capability.Claims) { c.Mounts[0].Mode = "rw" })) + "." + parts[2], capability.RefusedSignature},
		"malleated signature (S + L)":       {parts[0] + "." + parts[1] + "." + malleate(t, parts[2]), capability.RefusedSignature},
		"an audit checkpoint's key":         {signed(auditKey(t), goodHeader, payload(t, nil)), capability.RefusedSignature},
		"another issuer":                    {claims(func(c *capability.Claims) { c.Issuer = "secureclaw-runner" }), capability.RefusedIssuer},
		"empty issuer":                      {claims(func(c *capability.Claims) { c.Issuer = "" }), capability.RefusedIssuer},
		"another audience":                  {claims(func(c *capability.Claims) { c.Audience = "shell" }), capability.RefusedAudience},
		"empty audience":                    {claims(func(c *capability.Claims) { c.Audience = "" }), capability.RefusedAudience},
		"audience in another letter case":   {claims(func(c *capability.Claims) { c.Audience = "File" }), capability.RefusedAudience},
		"audience as a list":                {text(`"aud":"file"`, `"aud":["file"]`), capability.RefusedClaims},
		"expired":                           {claims(shift(-41)), capability.RefusedTime},
		"expired by the leeway":             {claims(shift(-40)), capability.RefusedTime},
		"issued in the future":              {claims(shift(6)), capability.RefusedTime},
		"not before the future":             {claims(func(c *capability.Claims) { c.NotBefore += 6 }), capability.RefusedTime},
		"not before older than issued":      {claims(func(c *capability.Claims) { c.NotBefore-- }), capability.RefusedTime},
		"expires before it begins":          {claims(func(c *capability.Claims) { c.Expires = c.NotBefore - 1 }), capability.RefusedTime},
		"outlives its task by 6 s":          {claims(func(c *capability.Claims) { c.Expires++ }), capability.RefusedTime},
		"lives for ever":                    {claims(func(c *capability.Claims) { c.Expires = 1<<53 - 1 }), capability.RefusedTime},
		"issued before 1970":                {claims(func(c *capability.Claims) { c.IssuedAt = -1 }), capability.RefusedTime},
		"issued at the end of time":         {claims(func(c *capability.Claims) { c.IssuedAt, c.NotBefore, c.Expires = 1<<53-1, 1<<53-1, 1<<53-1 }), capability.RefusedTime},
		"old, for a task of an hour":        {claims(func(c *capability.Claims) { c.TimeoutMS = 3_600_000; shift(-301)(c); c.Expires += 3570 }), capability.RefusedTime},
		"a fraction of a process":           {text(`"pids":64`, `"pids":64.5`), capability.RefusedClaims},
		"no jti":                            {without(t, key, "jti"), capability.RefusedClaims},
		"no iat":                            {without(t, key, "iat"), capability.RefusedClaims},
		"no nbf":                            {without(t, key, "nbf"), capability.RefusedClaims},
		"no exp":                            {without(t, key, "exp"), capability.RefusedClaims},
		"no iss":                            {without(t, key, "iss"), capability.RefusedClaims},
		"no aud":                            {without(t, key, "aud"), capability.RefusedClaims},
		"no task":                           {without(t, key, "task"), capability.RefusedClaims},
		"no mounts":                         {without(t, key, "mounts"), capability.RefusedClaims},
		"short jti":                         {claims(func(c *capability.Claims) { c.ID = "0f" }), capability.RefusedClaims},
		"jti in capitals":                   {claims(func(c *capability.Claims) { c.ID = strings.ToUpper(c.ID) }), capability.RefusedClaims},
		"no tool":                           {claims(func(c *capability.Claims) { c.Tool = "" }), capability.RefusedClaims},
		"no session":                        {claims(func(c *capability.Claims) { c.Session = "" }), capability.RefusedClaims},
		"no call":                           {claims(func(c *capability.Claims) { c.Call = "" }), capability.RefusedClaims},
		"no timeout":                        {claims(func(c *capability.Claims) { c.TimeoutMS = 0 }), capability.RefusedClaims},
		"timeout that overflows":            {claims(func(c *capability.Claims) { c.TimeoutMS = 1<<53 - 1 }), capability.RefusedClaims},
		"no memory limit":                   {claims(func(c *capability.Claims) { c.Memory = 0 }), capability.RefusedClaims},
		"negative memory, docker's \"all\"": {claims(func(c *capability.Claims) { c.Memory = -1 }), capability.RefusedClaims},
		"no processor limit":                {claims(func(c *capability.Claims) { c.CPUMillis = 0 }), capability.RefusedClaims},
		"no process limit":                  {claims(func(c *capability.Claims) { c.Pids = -1 }), capability.RefusedClaims},
		"no output cap":                     {claims(func(c *capability.Claims) { c.OutputCap = 0 }), capability.RefusedClaims},
		"mount without a name":              {claims(func(c *capability.Claims) { c.Mounts[0].Name = "" }), capability.RefusedClaims},
		"mount without a mode":              {claims(func(c *capability.Claims) { c.Mounts[0].Mode = "" }), capability.RefusedClaims},
		"mount with docker's own options":   {claims(func(c *capability.Claims) { c.Mounts[0].Mode = "rw,z" }), capability.RefusedClaims},
		"mount twice": {claims(func(c *capability.Claims) {
			c.Mounts = append(c.Mounts, capability.Mount{Name: "workspace", Mode: "rw"})
		}), capability.RefusedClaims},
		"empty domain":                    {claims(func(c *capability.Claims) { c.Domains = []string{""} }), capability.RefusedClaims},
		"domain twice":                    {claims(func(c *capability.Claims) { c.Domains = []string{"a.example", "a.example"} }), capability.RefusedClaims},
		"duplicate claim":                 {text(`"tool":`, `"tool":"write_file","tool":`), capability.RefusedClaims},
		"duplicate by escape":             {text(`"tool":`, `"t\u006fol":"write_file","tool":`), capability.RefusedClaims},
		"claim in another letter case":    {text(`"tool":`, `"Tool":`), capability.RefusedClaims},
		"the same claim in both cases":    {text(`"tool":`, `"TOOL":"write_file","tool":`), capability.RefusedClaims},
		"unknown claim":                   {text(`{"iss":`, `{"admin":true,"iss":`), capability.RefusedClaims},
		"unknown claim of a mount":        {text(`"mode":"ro"`, `"mode":"ro","host":"/"`), capability.RefusedClaims},
		"null for a list":                 {text(`"domains":[]`, `"domains":null`), capability.RefusedClaims},
		"null for a number":               {text(`"pids":64`, `"pids":null`), capability.RefusedClaims},
		"text for a number":               {text(`"pids":64`, `"pids":"64"`), capability.RefusedClaims},
		"another spelling of a number":    {text(`"pids":64`, `"pids":6.4e1`), capability.RefusedClaims},
		"another spelling of a text":      {text(`"read_file"`, `"read\u005ffile"`), capability.RefusedClaims},
		"claims in another order":         {text(`"session":"s-1","call":"c-1"`, `"call":"c-1","session":"s-1"`), capability.RefusedClaims},
		"a space in the payload":          {text(`,"tool"`, `, "tool"`), capability.RefusedClaims},
		"junk behind the payload":         {signed(key, goodHeader, payload(t, nil)+"{}"), capability.RefusedClaims},
		"a newline behind the payload":    {signed(key, goodHeader, payload(t, nil)+"\n"), capability.RefusedClaims},
		"payload is no object":            {signed(key, goodHeader, `[]`), capability.RefusedClaims},
		"empty payload":                   {signed(key, goodHeader, ``), capability.RefusedClaims},
		"task digest of another task":     {claims(func(c *capability.Claims) { c.TaskSHA256 = capability.TaskDigest([]byte("{}")) }), capability.RefusedTask},
		"task digest in capitals":         {claims(func(c *capability.Claims) { c.TaskSHA256 = strings.ToUpper(c.TaskSHA256) }), capability.RefusedClaims},
		"no task digest":                  {claims(func(c *capability.Claims) { c.TaskSHA256 = "" }), capability.RefusedClaims},
		"digest of the task's first half": {claims(func(c *capability.Claims) { c.TaskSHA256 = c.TaskSHA256[:32] }), capability.RefusedClaims},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := capability.NewVerifier(public(key), at(noon)).Verify(tc.token, []string{"file"}, task)
			wantRefusal(t, fmt.Sprintf("Verify(%.60q)", tc.token), err, tc.code)
			if diff := cmp.Diff(capability.Claims{}, got); diff != "" {
				t.Errorf("Verify(%.60q): a refused token gives claims:\n%s", tc.token, diff)
			}
		})
	}
}

// The runner's and the executor's clock may differ from the gateway's by the leeway and no more.
func TestVerifyWithAnotherClock(t *testing.T) {
	hour := order()
	hour.TimeoutMS = 3_600_000
	for name, tc := range map[string]struct {
		claims capability.Claims
		off    time.Duration
		ok     bool
	}{
		"exact":                              {order(), 0, true},
		"behind by the leeway":               {order(), -5 * time.Second, true},
		"behind by more":                     {order(), -6 * time.Second, false},
		"at the end of its life":             {order(), 39 * time.Second, true},
		"a moment later":                     {order(), 40 * time.Second, false},
		"ten minutes ahead":                  {order(), 10 * time.Minute, false},
		"ten minutes behind":                 {order(), -10 * time.Minute, false},
		"ten minutes ahead, task of an hour": {hour, 10 * time.Minute, false},
		"a clock that was never set":         {order(), -noon.Sub(time.Unix(0, 0)), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := capability.NewVerifier(public(gatewayKey(t)), at(noon.Add(tc.off))).Verify(mint(t, noon, tc.claims), []string{"file"}, task)
			if tc.ok && err != nil {
				t.Errorf("Verify at %v after minting = %v, want no error", tc.off, err)
			}
			if !tc.ok {
				wantRefusal(t, fmt.Sprintf("Verify at %v after minting", tc.off), err, capability.RefusedTime)
			}
		})
	}
}

func TestVerifyRefusesWhoAsksForNothing(t *testing.T) {
	token := mint(t, noon, order())
	key := public(gatewayKey(t))
	for name, tc := range map[string]struct {
		verifier  *capability.Verifier
		audiences []string
		task      []byte
		code      capability.Code
	}{
		"zero verifier": {new(capability.Verifier), []string{"file"}, task, capability.RefusedSignature},
		"no key":        {capability.NewVerifier(nil, at(noon)), []string{"file"}, task, capability.RefusedSignature},
		"half a key":    {capability.NewVerifier(key[:16], at(noon)), []string{"file"}, task, capability.RefusedSignature},
		"no clock":      {capability.NewVerifier(key, nil), []string{"file"}, task, capability.RefusedSignature},
		"no audience":   {capability.NewVerifier(key, at(noon)), nil, task, capability.RefusedAudience},
		"no task":       {capability.NewVerifier(key, at(noon)), []string{"file"}, nil, capability.RefusedTask},
		"a space more":  {capability.NewVerifier(key, at(noon)), []string{"file"}, append([]byte(" "), task...), capability.RefusedTask},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.verifier.Verify(token, tc.audiences, tc.task)
			wantRefusal(t, "Verify", err, tc.code)
		})
	}
}

// shift moves all times by seconds.
func shift(seconds int64) func(*capability.Claims) {
	return func(c *capability.Claims) {
		c.IssuedAt += seconds
		c.NotBefore += seconds
		c.Expires += seconds
	}
}

// without signs claims that lack one name.
func without(t *testing.T, key ed25519.PrivateKey, name string) string {
	t.Helper()
	p := payload(t, nil)
	start := strings.Index(p, `"`+name+`":`)
	if start < 0 {
		t.Fatalf("payload %s has no %s", p, name)
	}
	end := start + strings.IndexAny(p[start:], ",") + 1
	if name == "mounts" {
		end = start + strings.Index(p[start:], `],`) + 2
	}
	return signed(key, goodHeader, p[:start]+p[end:])
}

// hs256 is the classic attack: the public key, which everybody has, used as an HMAC secret.
func hs256(key ed25519.PublicKey, payload string) string {
	text := b64(`{"alg":"HS256","typ":"secureclaw-cap+jwt"}`) + "." + b64(payload)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + b64(string(mac.Sum(nil)))
}

// spareBits spells the last character of a segment so that a lenient decoder reads the same bytes:
// of its six bits only two belong to a signature's last byte.
func spareBits(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, last)^1])
}

// malleate adds the group order L to the S half of an Ed25519 signature: the same equation holds
// for it, so only a verifier that insists on the smallest S (RFC 8032) refuses it.
func malleate(t *testing.T, segment string) string {
	t.Helper()
	order := []byte{
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
	}
	sig := []byte(decode(t, segment))
	carry := 0
	for i, b := range order {
		sum := int(sig[32+i]) + int(b) + carry
		sig[32+i], carry = byte(sum), sum>>8
	}
	return b64(string(sig))
}

func auditKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	key, err := capability.DeriveAuditKey(strings.Repeat("k", 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}
