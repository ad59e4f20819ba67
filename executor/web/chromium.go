package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// flags are how Chromium is started, apart from profile and proxy. What they say about the network
// only makes failures fast and clean: the container has none, and the way out decides by itself.
var flags = []string{
	"--headless",
	"--remote-debugging-pipe", // descriptors 3 and 4; there is no port
	"--window-size=1280,900",
	"--hide-scrollbars",
	"--mute-audio",
	"--lang=en-US",
	"--force-color-profile=srgb",
	"--password-store=basic",
	"--disable-gpu",
	"--disable-software-rasterizer", // no WebGL; then the GPU process keeps its sandbox
	"--noerrdialogs",

	// Names are for the proxy to resolve, loopback goes through it as well, and nothing uses UDP.
	"--proxy-bypass-list=<-loopback>",
	"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
	"--disable-quic",
	"--webrtc-ip-handling-policy=disable_non_proxied_udp",
	"--force-webrtc-ip-handling-policy=disable_non_proxied_udp",

	// Nothing is asked for that the page did not ask for.
	"--no-first-run",
	"--no-default-browser-check",
	"--no-pings",
	"--disable-background-networking",
	"--disable-component-update",
	"--component-updater=url-source=about:blank", // some components are asked for in spite of that
	"--gaia-url=http://127.0.0.1:1",              // it would ask who is logged in; cookies of http: are none
	"--disable-field-trial-config",
	"--disable-component-extensions-with-background-pages",
	"--disable-default-apps",
	"--disable-domain-reliability",
	"--disable-extensions",
	"--disable-sync",
	"--disable-breakpad",
	"--disable-crash-reporter",
	"--disable-client-side-phishing-detection",
	"--disable-search-engine-choice-screen",
	"--metrics-recording-only",
	"--safebrowsing-disable-auto-update",

	// A call lives for seconds and nobody sits before the window.
	"--block-new-web-contents",
	"--deny-permission-prompts",
	"--disable-hang-monitor",
	"--disable-prompt-on-repost",
	"--disable-background-timer-throttling",
	"--disable-backgrounding-occluded-windows",
	"--disable-renderer-backgrounding",

	// HttpsUpgrades would silently turn a redirect to http: into another one.
	"--disable-features=" + strings.Join([]string{
		"AutofillServerCommunication", "CertificateTransparencyComponentUpdater", "DialMediaRouteProvider",
		"GlobalMediaControls", "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "InterestFeedContentSuggestions", "MediaRouter", "NetworkTimeServiceQuerying",
		"OptimizationGuideModelDownloading", "OptimizationHints", "OptimizationTargetPrediction", "Prerender2", "SafeBrowsingDelayedWarnings",
		"Translate", "WebOTP",
	}, ","),
}

// preferences of the fresh profile: no prompt is ever shown, a PDF is a file, names are not looked up
// ahead. Local State keeps secure DNS off, and encrypted ClientHellos, real or pretended: the way out
// has to read for whom a connection is, and refuses one that does not say so.
const (
	preferences = `{
"download":{"prompt_for_download":false},
"download_restrictions":3,
"enable_do_not_track":false,
"net":{"network_prediction_options":2},
"plugins":{"always_open_pdf_externally":true},
"profile":{"default_content_setting_values":{"geolocation":2,"media_stream":2,"media_stream_camera":2,"media_stream_mic":2,
 "midi_sysex":2,"notifications":2,"payment_handler":2,"popups":2,"protocol_handlers":2,"sensors":2,"serial_guard":2,"usb_guard":2,
 "hid_guard":2,"bluetooth_guard":2,"file_system_write_guard":2,"clipboard":2,"local_fonts":2,"window_placement":2},
 "password_manager_enabled":false},
"safebrowsing":{"enabled":false},
"search":{"suggest_enabled":false},
"signin":{"allowed":false,"allowed_on_next_startup":false},
"translate":{"enabled":false}
}`
	localState = `{"dns_over_https":{"mode":"off","templates":""},"ssl":{"ech_enabled":false},"background_mode":{"enabled":false}}`
)

// chromium is one running browser.
type chromium struct {
	group  int // its process group
	dir    string
	pipe   *pipe
	ended  chan struct{} // closed when its first process has ended
	said   *tail
	closed sync.Once
}

// start runs Chromium with a fresh profile and a proxy on the given address. Its own sandbox is on.
func start(program, proxy string) (*chromium, error) {
	dir, err := profile()
	if err != nil {
		return nil, err
	}
	c := &chromium{dir: dir, ended: make(chan struct{}), said: &tail{}}
	if err := c.spawn(program, proxy); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	return c, nil
}

// profile makes the directory that is Chromium's home.
func profile() (string, error) {
	dir, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		return "", fmt.Errorf("make a profile: %w", err)
	}
	err = errors.Join(
		os.Mkdir(filepath.Join(dir, "Default"), 0o700),
		os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(preferences), 0o600),
		os.WriteFile(filepath.Join(dir, "Local State"), []byte(localState), 0o600),
		os.WriteFile(filepath.Join(dir, "First Run"), nil, 0o600),
	)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("make a profile: %w", err)
	}
	return dir, nil
}

func (c *chromium) spawn(program, proxy string) error {
	var files []*os.File
	shut := func() {
		for _, f := range files {
			f.Close()
		}
	}
	open := func() (r, w *os.File, err error) {
		r, w, err = os.Pipe()
		if err == nil {
			files = append(files, r, w)
		}
		return r, w, err
	}
	commands, toBrowser, err1 := open()
	fromBrowser, answers, err2 := open()
	stderr, words, err3 := open()
	null, err4 := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		shut()
		return err
	}
	files = append(files, null)

	args := append([]string{program, "--user-data-dir=" + c.dir, "--proxy-server=http://" + proxy}, flags...)
	args = append(args, "about:blank")
	cmd := &exec.Cmd{
		Path: program, Args: args, Dir: c.dir,
		// Nothing of this process's own environment: it has no secret, and none shall ever get there.
		Env: []string{"HOME=" + c.dir, "TMPDIR=" + c.dir, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=UTC",
			"DBUS_SESSION_BUS_ADDRESS=disabled:", "DBUS_SYSTEM_BUS_ADDRESS=disabled:"},
		Stdin: null, Stdout: null, Stderr: words,
		ExtraFiles:  []*os.File{commands, answers},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	started := make(chan error, 1)
	go func() {
		// The kernel sends the parent's-death signal when the thread ends that started the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		c.group = cmd.Process.Pid
		started <- nil
		_ = cmd.Wait() // how it ended is in what it said
		close(c.ended)
	}()
	if err := <-started; err != nil {
		shut()
		return err
	}
	for _, f := range []*os.File{commands, answers, words, null} {
		f.Close()
	}
	c.said.follow(stderr)
	c.pipe = newPipe(fromBrowser, toBrowser)
	return nil
}

// kill ends the browser and all its processes, at once: a profile that is thrown away needs no
// farewell. It returns when they are gone, or after a second. As process 1 of a container it does not
// wait: nothing in there outlives process 1, and the answer is ready.
func (c *chromium) kill() {
	c.closed.Do(func() {
		c.pipe.Close()
		if os.Getpid() == 1 {
			_ = unix.Kill(-1, unix.SIGKILL)
			c.said.close()
			return
		}
		patience, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for {
			// The zygote is the first process of a namespace of its own, so its renderers die with it.
			_ = unix.Kill(-c.group, unix.SIGKILL) // ESRCH: nobody left
			if c.hasEnded() && !alive(c.group) || patience.Err() != nil {
				break
			}
			pause(patience, 2*time.Millisecond)
		}
		c.said.close()
		_ = os.RemoveAll(c.dir)
	})
}

// freeze stops every process but this one, which is process 1 of a container, for ever: they end with it.
// Killing them costs the same processors that are to bring the answer on its way, up to 60 ms on two that
// were busy, and the page can do as little either way.
func (c *chromium) freeze() {
	c.closed.Do(func() {
		_ = unix.Kill(-1, unix.SIGSTOP)
		c.pipe.Close()
		c.said.close()
	})
}

func (c *chromium) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// alive reports whether a process of the group still runs. One that is dead stays in the group until
// its parent has taken its exit code, and that parent may be anybody.
func alive(group int) bool {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return false
	}
	for _, name := range names {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// "pid (name) state parent group …", and the name may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return false
}

// tail keeps the last bytes that Chromium printed, for the one message that says why it did not start.
type tail struct {
	mu   sync.Mutex
	last []byte
	from *os.File
	done chan struct{}
}

const maxTail = 8 << 10

func (t *tail) follow(from *os.File) {
	t.from, t.done = from, make(chan struct{})
	go func() {
		defer close(t.done)
		buffer := make([]byte, 4<<10)
		for {
			n, err := from.Read(buffer)
			t.mu.Lock()
			t.last = append(t.last, buffer[:n]...)
			t.last = t.last[max(0, len(t.last)-maxTail):]
			t.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

func (t *tail) close() {
	t.from.Close()
	<-t.done
}

// reason is the line that says most about a browser that ended by itself.
func (t *tail) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last string
	for line := range bytes.Lines(t.last) {
		text := strings.TrimSpace(string(line))
		switch {
		case strings.Contains(text, "No usable sandbox"):
			return text
		case strings.Contains(text, "crashpad"), strings.Contains(text, "dbus"): // always there, and harmless
		case text != "":
			last = text
		}
	}
	return last
}
