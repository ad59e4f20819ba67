package gateway

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// manageUsage answers what a terminal asks about what was spent.
func (k *keep) manageUsage() map[string]chat.Manager {
	return map[string]chat.Manager{
		wire.ManageUsageSum: managed(k.usageSum),
	}
}

// managed is a manager that reads its arguments strictly.
func managed[Args, Value any](do func(ctx context.Context, args Args) (Value, error)) chat.Manager {
	return func(ctx context.Context, _ claw.Origin, args []byte) (any, error) {
		var in Args
		if len(args) > 0 {
			if err := strict.Decode(args, &in); err != nil {
				return nil, fmt.Errorf("the request cannot be read: %w", err)
			}
		}
		return do(ctx, in)
	}
}

// The bounds of a table: ten years fit into no sum that anybody reads, and a thousand rows fit into a frame.
const (
	maxUsageDays = 3660
	maxUsageRows = 1000
)

// usageKeys are what the store calls what a terminal asks for.
var usageKeys = map[string]string{
	wire.UsageByDay: sqlite.ByQuarter, wire.UsageBySession: sqlite.BySession, wire.UsageByHeartbeat: sqlite.ByHeartbeat,
	wire.UsageByTask: sqlite.ByTask, wire.UsageByModel: sqlite.ByModel,
}

func (k *keep) usageSum(ctx context.Context, in wire.UsageSum) (*wire.UsageTable, error) {
	in.By, in.Days, in.Limit = cmp.Or(in.By, wire.UsageByDay), cmp.Or(in.Days, 30), cmp.Or(in.Limit, 100)
	switch {
	case usageKeys[in.By] == "":
		return nil, fmt.Errorf("usage by %.40q: want day, session, heartbeat, task or model", in.By)
	case in.Days < 1 || in.Days > maxUsageDays:
		return nil, fmt.Errorf("usage of %d days: want 1 to %d", in.Days, maxUsageDays)
	case in.Limit < 1 || in.Limit > maxUsageRows:
		return nil, fmt.Errorf("usage in %d rows: want 1 to %d", in.Limit, maxUsageRows)
	}
	now := k.o.Now()
	table := &wire.UsageTable{By: in.By, Since: daysAfter(now, 1-in.Days), TodayMost: k.o.Config.Limits.TokensPerDay}
	var err error
	if _, table.Today, err = k.budget.today(ctx); err != nil {
		return nil, err
	}
	rows, err := k.db.UsageBy(ctx, usageKeys[in.By], table.Since)
	if err != nil {
		return nil, err
	}
	table.Rows = usageRows(rows, in.By == wire.UsageByDay, now.Location())
	for _, r := range table.Rows {
		table.Total.Calls += r.Calls
		table.Total.Tokens += r.Tokens
		table.Total.Usage = addUsage(table.Total.Usage, r.Usage)
	}
	if table.More = len(table.Rows) - in.Limit; table.More > 0 {
		table.Rows = table.Rows[:in.Limit]
	}
	table.More = max(table.More, 0)
	return table, nil
}

// usageRows are the store's rows, in the order in which they are shown; days are made of quarters of an hour.
func usageRows(rows []sqlite.UsageRow, days bool, zone *time.Location) []wire.UsageRow {
	out := []wire.UsageRow{}
	at := map[string]int{}
	for _, r := range rows {
		if days {
			r.Name, r.At = r.At.In(zone).Format(time.DateOnly), time.Time{}
		}
		i, known := at[r.Name]
		if !known {
			i, at[r.Name] = len(out), len(out)
			out = append(out, wire.UsageRow{Name: short(r.Name, 200), About: short(r.About, 200), Last: r.At})
		}
		out[i].Calls += r.Calls
		out[i].Tokens += total(r.Usage)
		out[i].Usage = addUsage(out[i].Usage, wire.Usage(r.Usage))
	}
	slices.SortFunc(out, func(a, b wire.UsageRow) int {
		if days {
			return strings.Compare(b.Name, a.Name)
		}
		return cmp.Or(cmp.Compare(b.Tokens, a.Tokens), strings.Compare(a.Name, b.Name))
	})
	return out
}

func addUsage(a, b wire.Usage) wire.Usage {
	return wire.Usage(claw.Usage(a).Add(claw.Usage(b)))
}

// short cuts what somebody else named at a rune.
func short(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
