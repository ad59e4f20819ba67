package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
	"github.com/secureclaw/secureclaw/runner"
)

// benchMany is many sessions that call at once, one call after the other each, beside as many plain
// containers at once. Times are milliseconds.
type benchMany struct {
	Sessions int `json:"sessions"`
	Calls    int `json:"calls"`
	Failed   int `json:"failed"`
	Ready    int `json:"found_ready"`

	CallsPerSecond float64 `json:"calls_per_second"`
	PlainPerSecond float64 `json:"plain_per_second"`
	ToPlain        float64 `json:"calls_per_second_to_plain"`
	// Fairness is the longest wait by the median one.
	Fairness float64 `json:"longest_to_median"`

	Wait  spread `json:"wait_ms"` // message → reply
	Plain spread `json:"plain_ms"`
	// Why is what the first call that failed was told.
	Why string `json:"why,omitzero"`
}

// benchAtOnce has n sessions make about count calls together, and at least two each, so that the container of
// one call is removed while the next runs.
func benchAtOnce(ctx context.Context, h *benchHome, n, count int) (many benchMany, err error) {
	rounds := max(2, (count+n-1)/n)
	plain, err := runner.NewPlain(h.options(), "shell", filepath.Join(h.dirs.Home, "workspace"))
	if err != nil {
		return many, err
	}
	defer func() { err = errors.Join(err, plain.Close(ctx)) }()
	conns, err := dialMany(ctx, h, n)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	if err != nil {
		return many, err
	}
	if err := h.settle(ctx); err != nil {
		return many, err
	}
	work := benchWorks(benchPlan{})[0]
	steps := make([]stepOrError, n*rounds)
	waits, took := together(n, rounds, func(session, round int) {
		at := session*rounds + round
		reply, err := say(ctx, conns[session], fmt.Sprintf("bench-%d-%d", n, session), work.text)
		if err == nil {
			steps[at].step, err = work.check(reply)
		}
		steps[at].err = err
	})
	if err := ctx.Err(); err != nil {
		return many, pause(ctx, time.Hour)
	}
	if err := h.settle(ctx); err != nil {
		return many, err
	}
	failures := make([]error, n*rounds)
	base, baseTook := together(n, rounds, func(session, round int) {
		_, failures[session*rounds+round] = plain.Call(ctx)
	})
	if err := errors.Join(failures...); err != nil {
		return many, fmt.Errorf("plain containers at once: %w", err)
	}
	many = benchMany{Sessions: n, Calls: n * rounds, CallsPerSecond: float64(n*rounds) / took.Seconds(), PlainPerSecond: float64(n*rounds) / baseTook.Seconds()}
	many.ToPlain = many.CallsPerSecond / many.PlainPerSecond
	many.count(steps)
	many.Wait, many.Plain = quantiles(waits), quantiles(base)
	many.Fairness = waits[len(waits)-1] / many.Wait.P50
	return many, nil
}

type stepOrError struct {
	step wire.Step
	err  error
}

func (m *benchMany) count(steps []stepOrError) {
	for _, s := range steps {
		switch {
		case s.err != nil:
			m.Failed++
			if m.Why == "" {
				m.Why = s.err.Error()
				if f, ok := errors.AsType[*failure](s.err); ok {
					m.Why += ": " + f.why
				}
			}
		case s.step.Ready:
			m.Ready++
		}
	}
}

func dialMany(ctx context.Context, h *benchHome, n int) ([]*wire.Conn, error) {
	var conns []*wire.Conn
	for range n {
		c, err := dialGateway(ctx, h.g)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// together runs f rounds times in each of n goroutines, and returns the time of each and of all, in milliseconds.
func together(n, rounds int, f func(session, round int)) (each []float64, all time.Duration) {
	each = make([]float64, n*rounds)
	var work sync.WaitGroup
	began := time.Now()
	for session := range n {
		work.Go(func() {
			for round := range rounds {
				start := time.Now()
				f(session, round)
				each[session*rounds+round] = ms(time.Since(start))
			}
		})
	}
	work.Wait()
	return each, time.Since(began)
}
