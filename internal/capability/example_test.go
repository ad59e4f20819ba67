package capability_test

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
)

// The gateway signs what one task may touch; the runner and the executor check it with the public
// half of the key, and the same token does nothing for another task.
func Example() {
	key, err := capability.DeriveKey(strings.Repeat("a secret of the installation ", 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	clock := func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	task := []byte(`{"call":"c-1","tool":"read_file"}`)

	token, err := capability.NewMinter(key, clock).Mint(capability.Claims{
		Audience:   "file",
		Tool:       "read_file",
		TaskSHA256: capability.TaskDigest(task),
		Mounts:     []capability.Mount{{Name: "workspace", Mode: "ro"}},
		TimeoutMS:  30_000,
		OutputCap:  64 << 10,
		Memory:     256 << 20,
		CPUMillis:  1000,
		Pids:       64,
		Session:    "s-1",
		Call:       "c-1",
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	verifier := capability.NewVerifier(key.Public().(ed25519.PublicKey), clock)
	claims, err := verifier.Verify(token, []string{"file"}, task)
	fmt.Println(claims.Tool, claims.Mounts, err)

	used := capability.NewReplay(clock)
	fmt.Println(used.Use(claims.ID, time.Unix(claims.Expires, 0)))
	fmt.Println(used.Use(claims.ID, time.Unix(claims.Expires, 0)))

	_, err = verifier.Verify(token, []string{"file"}, []byte(`{"call":"c-1","tool":"write_file"}`))
	fmt.Println(err)
	// Output:
	// read_file [{workspace ro}] <nil>
	// <nil>
	// token refused (replay): used before
	// token refused (task): signed for a task with digest bd66ef818ad9…, got 643405f0c90f…
}
