package chat

import (
	"context"
	"fmt"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// manage answers a terminal's question about what is kept. It may take a while; the connection goes on
// reading meanwhile.
func (d *Desk) manage(ctx context.Context, m *member, origin claw.Origin, in wire.Manage) {
	fault := func(code, what string) {
		m.send(wire.Down{Fault: &wire.Fault{Ref: in.Ref, Code: code, What: what}})
	}
	manager := d.o.Manage[in.What]
	if manager == nil {
		fault("query", fmt.Sprintf("unknown request %.64q", in.What))
		return
	}
	d.wg.Go(func() {
		value, err := manager(ctx, origin, in.Args)
		if err != nil {
			fault("manage", err.Error())
			return
		}
		data, err := strict.Encode(value)
		if err == nil && len(data) > maxValue {
			err = fmt.Errorf("the answer has %d bytes, the most is %d; ask for less at once", len(data), maxValue)
		}
		if err != nil {
			fault("manage", err.Error())
			return
		}
		m.send(wire.Down{Answer: &wire.Answer{Ref: in.Ref, Value: data}})
	})
}

// maxValue is the most bytes of one answer: what a frame holds, less its wrapping.
const maxValue = 900 << 10
