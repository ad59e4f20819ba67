// Package web drives Chromium for one call of browse_web.
package web

import (
	"context"
	"net"

	_ "github.com/chromedp/cdproto/accessibility"
	_ "github.com/chromedp/chromedp"

	"github.com/secureclaw/secureclaw/executor"
)

// Options are what the tool needs.
type Options struct {
	// Dial opens one connection to the proxy that is the only way out.
	Dial func(ctx context.Context) (net.Conn, error)
	// Chromium is the browser's program.
	Chromium string
}

// Tools returns the tools of the web executor, by name.
func Tools(o Options) map[string]executor.Tool { panic("not written yet") }
