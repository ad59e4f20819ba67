package outbox_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// modelItem is what a user should see of one item, told in the simplest way.
type modelItem struct {
	outbox.Item
	approval int
	parts    int
	part     int
	refs     []string
	state    string // of a card: what is shown
	done     bool   // shown whole, or of a why or a text; a card never is, it only has nothing new
	failed   bool
	seen     []int // how often the user saw each part; of a card each first showing
}

// modelUser is one user's phone and queue.
type modelUser struct {
	items []*modelItem
	hold  time.Time
	out   *modelItem // under way
	send  *wire.Send
	left  time.Time

	deaths, twice int
}

type model struct {
	*world
	rt     *rapid.T
	users  map[string]*modelUser
	states map[int]gate.State
	refs   int
}

var userNames = []string{"7", "8", "9"}

func looks(s string) string {
	if s == "started" {
		return "allowed"
	}
	return s
}

// next is the item that a user should be shown next: cards before all, questions before edits, else in order.
func (m *model) next(u *modelUser) *modelItem {
	if u.hold.After(m.clock()) {
		return nil
	}
	for _, fits := range []func(i *modelItem) bool{
		func(i *modelItem) bool {
			return i.Kind == wire.SendWhy && !i.done || i.Kind == wire.SendCard && i.state == "" && m.states[i.approval] == gate.Pending
		},
		func(i *modelItem) bool {
			return i.Kind == wire.SendCard && looks(i.state) != looks(string(m.states[i.approval]))
		},
		func(i *modelItem) bool { return !i.done && i.Kind != wire.SendCard },
	} {
		for _, i := range u.items {
			if !i.failed && fits(i) {
				return i
			}
		}
	}
	return nil
}

// settle takes every Send that must come now, and checks that they are the ones.
func (m *model) settle() {
	m.t.Helper()
	missing := 0
	for _, u := range m.users {
		if u.out == nil && m.next(u) != nil {
			missing++
		}
	}
	for ; missing > 0; missing-- {
		s := m.await().Send
		u := m.users[s.User]
		want := m.next(u)
		if u.out != nil || want == nil {
			m.t.Fatalf("user %s got %s, with %+v under way, want nothing", s.User, s.Text, u.out)
		}
		if s.Text != want.Key || s.Part != want.part || !slices.Equal(s.Shown, want.refs) {
			m.t.Fatalf("user %s got part %d of %s (shown %q), want part %d of %s (shown %q)", s.User, s.Part, s.Text, s.Shown, want.part, want.Key, want.refs)
		}
		if (s.Card != nil) != (want.Approval != "") || s.Card != nil && s.Card.State != string(m.states[want.approval]) {
			m.t.Fatalf("%s has the card %+v, want it %s", s.Text, s.Card, m.states[want.approval])
		}
		u.out, u.send, u.left = want, s, m.clock()
	}
}

// see is the user seeing what is under way; the gateway may hear of it or not.
func (u *modelUser) see() {
	i := u.out
	if i.Kind == wire.SendCard && i.state != "" {
		return // an edit, which can be done any number of times
	}
	if i.seen[i.part]++; i.seen[i.part] > 1 {
		u.twice++
	}
}

// busy draws a user that has something under way, or nil.
func (m *model) busy() *modelUser {
	var all []*modelUser
	for _, name := range userNames {
		if m.users[name].out != nil {
			all = append(all, m.users[name])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return rapid.SampledFrom(all).Draw(m.rt, "user")
}

func (m *model) land(u *modelUser) {
	u.see()
	i, ref := u.out, ""
	if i.Kind != wire.SendCard || i.state == "" || rapid.IntRange(0, 3).Draw(m.rt, "edit makes a message") == 0 {
		m.refs++
		ref = fmt.Sprint("m", m.refs)
		i.refs = append(i.refs, ref)
	}
	u.out, i.Tries = nil, 0
	m.sent(u.send, i.parts, ref)
	switch i.part++; {
	case i.Kind == wire.SendCard && (i.part >= i.parts || i.state != ""):
		i.part, i.state = 0, u.send.Card.State
	case i.Kind != wire.SendCard:
		i.done = i.part >= i.parts
	}
}

// die is the end of a connection or of the gateway: of what is under way, some was shown.
func (m *model) die() {
	for _, name := range userNames {
		if u := m.users[name]; u.out != nil {
			if rapid.Bool().Draw(m.rt, "shown, and not heard of") {
				u.see()
				u.deaths++
			}
			u.out = nil
		}
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	n := 0
	return map[string]func(*rapid.T){
		"put": func(rt *rapid.T) {
			name := rapid.SampledFrom(userNames).Draw(rt, "user")
			u := m.users[name]
			if len(u.items) > 0 && rapid.IntRange(0, 4).Draw(rt, "again") == 0 {
				m.put(rapid.SampledFrom(u.items).Draw(rt, "item").Item)
				return
			}
			n++
			kind := rapid.SampledFrom([]string{wire.SendText, wire.SendText, wire.SendCard, wire.SendCard, wire.SendWhy, wire.SendFile}).Draw(rt, "kind")
			i := &modelItem{Item: item(kind, name, fmt.Sprint(kind, n)), parts: rapid.IntRange(1, 3).Draw(rt, "parts")}
			switch kind {
			case wire.SendCard:
				m.ask(n)
				m.states[n] = gate.Pending
				i.Item, i.approval = about(n, i.Item), n
			case wire.SendWhy:
				if len(m.states) == 0 {
					return
				}
				i.approval = rapid.SampledFrom(slices.Sorted(keysOf(m.states))).Draw(rt, "approval")
				i.Item, i.parts = about(i.approval, i.Item), 1
			}
			i.seen = make([]int, i.parts)
			u.items = append(u.items, i)
			m.put(i.Item)
		},
		"move": func(rt *rapid.T) {
			var can [][2]any
			for _, n := range slices.Sorted(keysOf(m.states)) {
				for _, to := range []gate.State{gate.Allowed, gate.Denied, gate.Expired, gate.Cancelled, gate.Started, gate.Done, gate.Unknown} {
					if m.states[n].Leads(to) {
						can = append(can, [2]any{n, to})
					}
				}
			}
			if len(can) == 0 {
				return
			}
			pick := rapid.SampledFrom(can).Draw(rt, "move")
			n, to := pick[0].(int), pick[1].(gate.State)
			from := m.states[n]
			m.states[n] = to
			m.move(n, from, to)
		},
		"sent": func(*rapid.T) {
			if u := m.busy(); u != nil {
				m.land(u)
			}
		},
		"unsent": func(rt *rapid.T) {
			u := m.busy()
			if u == nil {
				return
			}
			ms := rapid.SampledFrom([]int64{0, 1000, 60_000, 1 << 40}).Draw(rt, "after")
			never := rapid.IntRange(0, 5).Draw(rt, "never") == 0
			wait := time.Duration(min(ms, 3_600_000)) * time.Millisecond
			if u.out.Tries++; u.out.Tries >= 5 {
				wait = max(wait, time.Second)
			}
			if u.out.failed = never; wait > 0 && !never {
				u.hold = m.clock().Add(wait + time.Millisecond)
			}
			u.out = nil
			m.feed.Unsent(context.Background(), wire.Unsent{Item: u.send.Item, Part: u.send.Part, AfterMS: ms, Never: never, Why: "no"})
		},
		"word about something else": func(rt *rapid.T) {
			item, part := int64(rapid.IntRange(0, 20).Draw(rt, "item")), rapid.IntRange(0, 3).Draw(rt, "part")
			for _, u := range m.users {
				if u.out != nil && u.send.Item == item && u.send.Part == part {
					return
				}
			}
			m.feed.Sent(context.Background(), wire.Sent{Item: item, Part: part, Parts: 1, Ref: "x", State: "done"})
			m.feed.Unsent(context.Background(), wire.Unsent{Item: item, Part: part, Never: true})
		},
		"tap on a lost duplicate": func(rt *rapid.T) {
			u := m.users[rapid.SampledFrom(userNames).Draw(rt, "user")]
			if len(u.items) == 0 || u.out != nil { // what is under way then lands as if nothing was: another test
				return
			}
			i := rapid.SampledFrom(u.items).Draw(rt, "item")
			if i.Kind != wire.SendCard || i.state == "" {
				return
			}
			m.refs++
			ref := fmt.Sprint("m", m.refs)
			if i.refs = append(i.refs, ref); !i.failed {
				i.state = "pending"
			}
			if err := m.db.AddShown(context.Background(), telegram, i.User, i.Key, ref); err != nil {
				m.t.Fatalf("AddShown = %v", err)
			}
			m.out.Wake()
		},
		"another bridge": func(*rapid.T) {
			m.feed.Close()
			m.die()
			m.serve()
		},
		"crash": func(*rapid.T) {
			m.end()
			m.die()
			m.open()
			m.serve()
		},
		"time": func(rt *rapid.T) {
			d := time.Duration(rapid.IntRange(1, 4000).Draw(rt, "seconds")) * time.Second
			for _, name := range userNames {
				if u := m.users[name]; u.out != nil && m.clock().Add(d).Sub(u.left) >= 3*time.Minute {
					if rapid.Bool().Draw(rt, "shown, and not heard of") {
						u.see()
						u.deaths++
					}
					u.out = nil // counts as lost
				}
			}
			m.pass(d)
		},
		"": func(*rapid.T) { m.settle() },
	}
}

func keysOf[V any](of map[int]V) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range of {
			if !yield(k) {
				return
			}
		}
	}
}

// Whatever happens in whatever order, each user is shown everything, in its order, cards first, and
// sees at most one part twice for each death.
func TestEverythingIsShownInOrder(t *testing.T) {
	empty := newWorld(t, t.TempDir())
	empty.open()
	empty.end()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		// Making the tables takes longer than all the rest.
		if err := os.CopyFS(dir, os.DirFS(empty.dir)); err != nil {
			rt.Fatal(err)
		}
		m := &model{world: newWorld(rt, dir), rt: rt, users: map[string]*modelUser{}, states: map[int]gate.State{}}
		for _, name := range userNames {
			m.users[name] = &modelUser{}
		}
		m.open()
		m.serve()
		defer func() {
			if m.feed != nil {
				m.end()
			}
		}()
		rt.Repeat(m.actions())
		// Then all goes well, and all of it arrives.
		m.pass(2 * time.Hour)
		for name := range m.users {
			m.users[name].out = nil // counts as lost
		}
		for {
			m.settle()
			quiet := true
			for _, u := range m.users {
				if u.out != nil {
					quiet = false
					m.land(u)
				}
			}
			if quiet {
				break
			}
		}
		for name, u := range m.users {
			if u.twice > u.deaths {
				rt.Errorf("user %s saw %d parts twice, with %d deaths", name, u.twice, u.deaths)
			}
			for _, i := range u.items {
				if i.Kind == wire.SendCard && !i.failed && looks(i.state) != looks(string(m.states[i.approval])) {
					rt.Errorf("%s shows %q, and its approval is %s", i.Key, i.state, m.states[i.approval])
				}
				for part, seen := range i.seen {
					if seen == 0 && !i.failed {
						rt.Errorf("user %s never saw part %d of %s", name, part, i.Key)
					}
				}
			}
		}
		if d := len(m.downs); d > 0 {
			rt.Errorf("%d frames more than there should be", d)
		}
	})
}
