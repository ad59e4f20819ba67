package fake

import (
	"net/http"
	"time"
)

// TelegramFault is what befalls a call. One that has none of Status, Drop, Hang and Garbage lets the call act.
type TelegramFault struct {
	// Status refuses with this error code, for which Description has the words.
	Status      int
	Description string
	RetryAfter  int // seconds, in parameters
	// Drop closes the connection before the server acts.
	Drop bool
	// LoseAnswer lets the server act, and closes the connection in place of an answer.
	LoseAnswer bool
	// Hang says nothing for so long, does nothing, and closes the connection.
	Hang time.Duration
	// Garbage answers 502 with a page of HTML, as a proxy in between does. The server does not act.
	Garbage bool
	// Slow waits for so long before the call acts.
	Slow time.Duration
	// Repeat is how many calls it befalls; zero stands for one, a negative number for all until ClearFaults.
	Repeat int
}

type queuedFault struct {
	method string
	TelegramFault
}

// Fault queues a fault for the next call of a method, or of any if method is empty. Faults of one method befall
// its calls one after another.
func (tg *Telegram) Fault(method string, f TelegramFault) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	if f.Repeat == 0 {
		f.Repeat = 1
	}
	tg.faults = append(tg.faults, &queuedFault{method, f})
}

// ClearFaults forgets all faults that have not happened.
func (tg *Telegram) ClearFaults() {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.faults = nil
}

// Cut closes all connections, those of waiting polls too.
func (tg *Telegram) Cut() { tg.http.CloseClientConnections() }

// fault takes the next fault for a method off the queue. The caller holds mu.
func (tg *Telegram) fault(method string) TelegramFault {
	for i, f := range tg.faults {
		if f.method != "" && f.method != method {
			continue
		}
		if f.Repeat--; f.Repeat == 0 {
			tg.faults = append(tg.faults[:i:i], tg.faults[i+1:]...)
		}
		return f.TelegramFault
	}
	return TelegramFault{}
}

// before is the part of a fault that comes before the call acts. It reports whether the call is over.
func (f TelegramFault) before(w http.ResponseWriter, r *http.Request, done <-chan struct{}) bool {
	wait := func(d time.Duration) {
		if d <= 0 {
			return
		}
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		case <-done:
		}
	}
	wait(f.Slow)
	switch {
	case f.Hang > 0:
		wait(f.Hang)
		panic(http.ErrAbortHandler)
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Garbage:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"))
		return true
	case f.Status != 0:
		answer(w, nil, &refusal{code: f.Status, words: f.Description, retryAfter: f.RetryAfter})
		return true
	}
	return false
}
