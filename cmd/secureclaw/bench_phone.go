package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// benchPhone stands in for Telegram, so that a bridge can be idle without a bot: it knows the bot, has no
// news, and takes whatever else it is told.
type benchPhone struct {
	server *http.Server
	url    string
}

const (
	benchToken = "123456789:AAbenchbenchbenchbenchbenchbenchbench"
	benchUser  = 42
)

func newBenchPhone() (*benchPhone, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &benchPhone{url: "http://" + ln.Addr().String()}
	p.server = &http.Server{Handler: http.HandlerFunc(benchBotAPI)}
	go func() { _ = p.server.Serve(ln) }()
	return p, nil
}

func benchBotAPI(w http.ResponseWriter, r *http.Request) {
	method := strings.ToLower(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	w.Header().Set("Content-Type", "application/json")
	switch method {
	case "getme":
		fmt.Fprint(w, `{"ok":true,"result":{"id":123456789,"is_bot":true,"first_name":"bench","username":"secureclaw_bench_bot"}}`)
	case "getupdates":
		<-r.Context().Done() // no news: the bridge asks for as long as it likes
	case "getmycommands":
		fmt.Fprint(w, `{"ok":true,"result":[]}`)
	case "getwebhookinfo":
		fmt.Fprint(w, `{"ok":true,"result":{"url":"","has_custom_certificate":false,"pending_update_count":0}}`)
	default:
		fmt.Fprint(w, `{"ok":true,"result":true}`)
	}
}

// environ is what makes a SecureClaw start its bridge to it.
func (p *benchPhone) environ() []string {
	return []string{"TELEGRAM_BOT_TOKEN=" + benchToken, fmt.Sprintf("TELEGRAM_ALLOWED_USERS=%d", benchUser), "TELEGRAM_API_URL=" + p.url}
}

func (p *benchPhone) close() { _ = p.server.Close() }
