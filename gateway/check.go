package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/internal/config"
)

// ModelError is why a model did not answer, in words for the user. Its Kind "auth" says that the key
// is not accepted, "not_found" that there is no such model or path.
type ModelError = llm.Error

// ModelCheck is what a live check found out.
type ModelCheck struct {
	Name string // provider and model, as asked
	Took time.Duration
}

// checkTime bounds a check: somebody sits before the terminal and waits.
const checkTime = 45 * time.Second

// fewTokens is what a check asks for first. Some servers refuse to answer in so little: a model that
// thinks first has said nothing by then. They are asked once more, for the least that the
// configuration allows.
const (
	fewTokens   = 1
	leastTokens = 256
)

// CheckModel asks the model of cfg for one token, by the same code that will ask it later: key,
// address and model are right when there is no error. What the model cannot do is a [*ModelError].
// The rehearsal model is asked too, and is always right. Nothing is stored.
func CheckModel(ctx context.Context, cfg *config.Config, secrets config.Secrets, now func() time.Time) (ModelCheck, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	started := now()
	model, err := newModel(Options{Config: cfg, Secrets: secrets, Now: now})
	if err != nil {
		return ModelCheck{}, err
	}
	if c, ok := model.(interface{ Close() }); ok {
		defer c.Close()
	}
	ask := func(most int) error {
		_, err := model.Ask(ctx, llm.Request{
			Turns:     []claw.Turn{{Role: claw.User, Text: "Say: ok"}},
			MaxTokens: most,
		}, nil)
		return err
	}
	err = ask(fewTokens)
	if e, ok := errors.AsType[*llm.Error](err); ok && e.Kind == llm.BadRequest {
		err = ask(leastTokens)
	}
	if err != nil {
		return ModelCheck{}, err
	}
	return ModelCheck{Name: model.Name(), Took: now().Sub(started)}, nil
}
