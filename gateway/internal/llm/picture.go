package llm

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Limits of pictures that all providers share: bytes before base64, and pixels of one side.
const (
	maxPictureBytes = 3 << 20
	maxPictureSide  = 8000
)

// What a model reads in place of a picture. Whether the user sees it, the result itself says.
const (
	noPictures = "(a screenshot was taken; this model takes no pictures)"
	badPicture = "(a screenshot was taken, but it is no picture that can be shown to a model)"
)

// Pictures returns those of a result that a provider takes, and what its text says of the others: a
// picture that is none would make every later request of the conversation fail. Its bytes come from
// a container.
func Pictures(r claw.ToolResult, taken bool) (text string, pictures []claw.Image) {
	text = r.Content
	say := func(note string) {
		if strings.TrimSpace(text) != "" {
			text += "\n"
		}
		text += note
	}
	if len(r.Images) > 0 && !taken {
		say(noPictures)
		return text, nil
	}
	for _, picture := range r.Images {
		if valid(picture) {
			pictures = append(pictures, picture)
		} else {
			say(badPicture)
		}
	}
	return text, pictures
}

// valid reports whether the bytes begin as their type says, with sides that a provider takes.
func valid(p claw.Image) bool {
	var config image.Config
	var err error
	switch p.MIME {
	case "image/png":
		config, err = png.DecodeConfig(bytes.NewReader(p.Data))
	case "image/jpeg":
		config, err = jpeg.DecodeConfig(bytes.NewReader(p.Data))
	default:
		return false
	}
	return err == nil && len(p.Data) <= maxPictureBytes && 0 < config.Width && config.Width <= maxPictureSide && 0 < config.Height && config.Height <= maxPictureSide
}
