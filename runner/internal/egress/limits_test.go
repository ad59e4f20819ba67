package egress

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		set      func(*Limits)
		up, down int // the browser and the site send as much after the hello
		want     string
	}{
		"within all":              {func(*Limits) {}, 100 << 10, 1 << 20, "allow"},
		"up of the connection":    {func(*Limits) {}, 300 << 10, 0, "deny:limit"},
		"up of the task":          {func(l *Limits) { l.UpTask = 50 << 10 }, 60 << 10, 0, "deny:limit"},
		"down":                    {func(l *Limits) { l.Down = 1 << 20 }, 0, 2 << 20, "deny:limit"},
		"the hello alone is more": {func(l *Limits) { l.UpStream = 10 }, 0, 0, "deny:limit"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			tc.set(&r.proxy.limits)
			var reached int64
			r.site = func(conn net.Conn) {
				_, _ = conn.Write(serverHello())
				go func() { _, _ = conn.Write(make([]byte, tc.down)) }()
				reached, _ = io.Copy(io.Discard, conn)
			}
			var came int64
			events := r.attempt(func(conn net.Conn) {
				_, _, _ = ask(conn, connectTo("example.com:443"))
				_, _ = conn.Write(plainHello("example.com").bytes())
				_, _ = conn.Write(make([]byte, tc.up))
				if tc.want == "allow" {
					came, _ = io.CopyN(io.Discard, conn, int64(tc.down))
					return
				}
				came, _ = io.Copy(io.Discard, conn)
			})
			if got := verdict(events); got != tc.want {
				t.Errorf("told %+v, want %s", events, tc.want)
			}
			r.work.Wait()
			l := r.proxy.limits
			if most := min(l.UpStream, l.UpTask); reached > most || came > l.Down {
				t.Errorf("%d bytes went up and %d down, want at most %d and %d", reached, came, most, l.Down)
			}
			total := r.events[len(r.events)-1]
			if total.Up < reached || total.Up > l.UpTask || total.Down < came || total.Down > l.Down {
				t.Errorf("totals %+v, want %d bytes up and %d down or a little more", total, reached, came)
			}
		})
	}
}

func TestLimitOfTheTask(t *testing.T) {
	r := newRig(t)
	task := r.proxy.Task(r.list, r.told)
	sent := 0
	for i := range 10 {
		browser, served := socketPair(t)
		var serving sync.WaitGroup
		serving.Go(func() { task.Serve(t.Context(), served) })
		r.site = func(conn net.Conn) {
			_, _ = conn.Write(serverHello())
			_, _ = io.CopyN(io.Discard, conn, 200<<10)
		}
		_, _, _ = ask(browser, connectTo("example.com:443"))
		_, _ = browser.Write(plainHello("example.com").bytes())
		_, _ = browser.Write(make([]byte, 200<<10))
		_, _ = io.Copy(io.Discard, browser)
		browser.Close()
		serving.Wait()
		if n := int(task.up.Load()); n > 1<<20 {
			t.Fatalf("after %d connections %d bytes went up, want at most %d", i+1, n, 1<<20)
		} else {
			sent = n
		}
	}
	task.Close()
	limits := 0
	for _, e := range r.events {
		if e.Code == string(codeLimit) {
			limits++
		}
	}
	if limits == 0 || sent < 800<<10 {
		t.Errorf("%d bytes went up and limit was told %d times, want nearly 1 MiB and at least once", sent, limits)
	}
}

func TestIdle(t *testing.T) {
	for name, tc := range map[string]struct {
		site func(net.Conn)
		want string
		at   time.Duration
	}{
		"nothing either way":       {func(conn net.Conn) { _, _ = conn.Write(serverHello()); _, _ = io.Copy(io.Discard, conn) }, "deny:idle", time.Minute},
		"a site that says nothing": {func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, "deny:idle", time.Minute},
		"a long quiet download":    {func(conn net.Conn) { go trickle(conn); time.Sleep(10 * time.Minute); conn.Close() }, "allow", 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.proxy.limits = DefaultLimits()
			synctest.Test(t, func(t *testing.T) {
				site, there := net.Pipe()
				r.proxy.connect = toPipe(site)
				events, took := pipes(t.Context(), t, r, func(conn net.Conn) {
					go func() {
						_, _ = io.ReadFull(there, make([]byte, len(plainHello("example.com").bytes())))
						tc.site(there)
					}()
					if err := established(conn, "example.com"); err != nil {
						t.Error(err)
					}
					_, _ = io.Copy(io.Discard, conn)
				})
				if got := verdict(events); got != tc.want || took != tc.at {
					t.Errorf("%s after %v (%+v), want %s after %v", got, took, events, tc.want, tc.at)
				}
			})
		})
	}
}

func TestHelloTimeout(t *testing.T) {
	r := newRig(t)
	r.proxy.limits = DefaultLimits()
	synctest.Test(t, func(t *testing.T) {
		site, there := net.Pipe()
		defer there.Close()
		r.proxy.connect = toPipe(site)
		events, took := pipes(t.Context(), t, r, func(conn net.Conn) {
			_, _ = io.WriteString(conn, connectTo("example.com:443"))
			_, _ = conn.Read(make([]byte, 100))
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			for _, b := range plainHello("example.com").bytes() {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if got := verdict(events); got != "deny:hello_timeout" || took != 10*time.Second {
			t.Errorf("%s after %v, want deny:hello_timeout after 10s", got, took)
		}
	})
}

func TestIdleWhileWriting(t *testing.T) {
	r := newRig(t)
	r.proxy.limits = DefaultLimits()
	synctest.Test(t, func(t *testing.T) {
		site, there := net.Pipe()
		r.proxy.connect = toPipe(site)
		events, _ := pipes(t.Context(), t, r, func(conn net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, there) }()
			go func() { _, _ = there.Write(serverHello()) }()
			if err := established(conn, "example.com"); err != nil {
				t.Error(err)
			}
		})
		if got := verdict(events); got != "deny:idle" {
			t.Errorf("told %+v, want deny:idle", events)
		}
	})
}
