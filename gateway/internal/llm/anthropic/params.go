package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/internal/link"
)

// params is the request on the wire. It marks the four points up to which the vendor may cache the prompt
// that are allowed: the last tool, the last stable block of the system prompt, the end of the
// conversation so far, which is the beginning of the next request, and the end of the one before. The vendor
// looks for a beginning that it knows no more than twenty blocks back from a mark, and one round of many
// calls has more: without the last mark it would read the whole conversation at full price.
func params(model string, pictures bool, req llm.Request) (sdk.MessageNewParams, error) {
	out := sdk.MessageNewParams{Model: model, MaxTokens: int64(req.MaxTokens)}
	for i, text := range req.System {
		if !link.Blank(text) {
			out.System = append(out.System, sdk.TextBlockParam{Text: text})
		}
		if i+1 == req.Stable && len(out.System) > 0 {
			out.System[len(out.System)-1].CacheControl = sdk.NewCacheControlEphemeralParam()
		}
	}
	for _, tool := range req.Tools {
		if !json.Valid(tool.Schema) {
			return out, fmt.Errorf("tool %q: its schema is not JSON", tool.Name)
		}
		out.Tools = append(out.Tools, sdk.ToolUnionParam{OfTool: &sdk.ToolParam{
			Name:        tool.Name,
			Description: sdk.String(tool.Description),
			InputSchema: param.Override[sdk.ToolInputSchemaParam](json.RawMessage(tool.Schema)),
		}})
	}
	if n := len(out.Tools); n > 0 {
		out.Tools[n-1].OfTool.CacheControl = sdk.NewCacheControlEphemeralParam()
		if req.NoCalls {
			out.ToolChoice.OfNone = &sdk.ToolChoiceNoneParam{}
		}
	}
	for _, turn := range req.Turns {
		out.Messages = add(out.Messages, turn, pictures)
	}
	mark(out.Messages)
	return out, nil
}

// mark marks the last two messages of the user.
func mark(messages []sdk.MessageParam) {
	marks := 0
	for _, message := range slices.Backward(messages) {
		if message.Role != sdk.MessageParamRoleUser {
			continue
		}
		if mark := message.Content[len(message.Content)-1].GetCacheControl(); mark != nil {
			*mark = sdk.NewCacheControlEphemeralParam()
		}
		if marks++; marks == 2 {
			break
		}
	}
}

// add appends a turn. A turn without content is left out, because the vendor refuses it, and two turns of
// one author become one, because the vendor wants them to alternate.
func add(messages []sdk.MessageParam, turn claw.Turn, pictures bool) []sdk.MessageParam {
	blocks := content(turn, pictures)
	if len(blocks) == 0 {
		return messages
	}
	role := role(turn)
	if n := len(messages); n > 0 && messages[n-1].Role == role {
		messages[n-1].Content = append(messages[n-1].Content, blocks...)
		return messages
	}
	return append(messages, sdk.MessageParam{Role: role, Content: blocks})
}

func role(turn claw.Turn) sdk.MessageParamRole {
	if turn.Role == claw.Assistant {
		return sdk.MessageParamRoleAssistant
	}
	return sdk.MessageParamRoleUser
}

// content is a turn in blocks: what was said before what was called, but results before all else. The
// pictures of a result stand in it behind its text; those of one that is an error stand behind all
// results, because the vendor takes nothing but text in such a one.
func content(turn claw.Turn, taken bool) []sdk.ContentBlockParamUnion {
	var blocks, late []sdk.ContentBlockParamUnion
	for _, result := range turn.Results {
		text, pictures := llm.Pictures(result, taken)
		block := sdk.ToolResultBlockParam{ToolUseID: link.ID(result.ModelID), IsError: sdk.Bool(result.IsError())}
		if !link.Blank(text) {
			block.Content = []sdk.ToolResultBlockParamContentUnion{{OfText: &sdk.TextBlockParam{Text: text}}}
		}
		for _, p := range pictures {
			image := sdk.NewImageBlockBase64(p.MIME, base64.StdEncoding.EncodeToString(p.Data))
			if result.IsError() {
				late = append(late, image)
			} else {
				block.Content = append(block.Content, sdk.ToolResultBlockParamContentUnion{OfImage: image.OfImage})
			}
		}
		blocks = append(blocks, sdk.ContentBlockParamUnion{OfToolResult: &block})
	}
	blocks = append(blocks, late...)
	if !link.Blank(turn.Context) {
		blocks = append(blocks, sdk.NewTextBlock(turn.Context))
	}
	if !link.Blank(turn.Text) {
		blocks = append(blocks, sdk.NewTextBlock(turn.Text))
	}
	for _, call := range turn.Calls {
		input := json.RawMessage(link.Input(call.Input))
		blocks = append(blocks, sdk.NewToolUseBlock(link.ID(call.ModelID), input, link.ToolName(call.Tool)))
	}
	return blocks
}
