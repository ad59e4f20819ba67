package anthropic

import (
	"context"
	"errors"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// maxCount is how long a count may take: whoever asks has an estimate of his own, and a user waits.
const maxCount = 5 * time.Second

// Count asks the vendor how many tokens a request has. It is tried once, and costs no tokens.
func (m *Model) Count(ctx context.Context, req llm.Request) (int, error) {
	key, err := m.server.Token()
	if err != nil {
		return 0, err
	}
	if key == "" {
		return 0, errors.New("there is no key for Claude")
	}
	p, err := params(m.name, m.images, req)
	if err != nil {
		return 0, err
	}
	question := sdk.MessageCountTokensParams{Model: p.Model, Messages: p.Messages, ToolChoice: p.ToolChoice}
	if len(p.System) > 0 {
		question.System.OfTextBlockArray = p.System
	}
	for _, tool := range p.Tools {
		question.Tools = append(question.Tools, sdk.MessageCountTokensToolUnionParam{OfTool: tool.OfTool})
	}
	ctx, cancel := context.WithTimeout(ctx, maxCount)
	defer cancel()
	counted, err := m.client.Messages.CountTokens(ctx, question, option.WithAPIKey(key))
	if err != nil {
		return 0, m.refused(ctx, err).Err // holds neither the key nor what the server wrote
	}
	if counted.InputTokens < 1 {
		return 0, errors.New("the server counted no tokens")
	}
	return int(counted.InputTokens), nil
}
