package fake

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
)

// maxPicture is the most bytes of a picture as it stands in a request, in base64.
const maxPicture = 5 << 20

// picture checks an image as the vendors do: one of four types, base64 with its padding, bytes of just that
// type, at most 8000 pixels a side.
func picture(mime, data string) (Picture, error) {
	if len(data) > maxPicture {
		return Picture{}, fmt.Errorf("image exceeds 5 MB maximum: %d bytes > %d bytes", len(data), maxPicture)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(data)
	if err != nil {
		return Picture{}, fmt.Errorf("invalid base64 data: %w", err)
	}
	var config image.Config
	switch mime {
	case "image/png":
		config, err = png.DecodeConfig(bytes.NewReader(raw))
	case "image/jpeg":
		config, err = jpeg.DecodeConfig(bytes.NewReader(raw))
	case "image/gif":
		config, err = gif.DecodeConfig(bytes.NewReader(raw))
	case "image/webp":
		if len(raw) < 12 || string(raw[:4]) != "RIFF" || string(raw[8:12]) != "WEBP" {
			err = fmt.Errorf("no WebP")
		}
	default:
		return Picture{}, fmt.Errorf("media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp', not %q", mime)
	}
	switch {
	case err != nil:
		return Picture{}, fmt.Errorf("the image does not match the provided media type %s: %w", mime, err)
	case config.Width > 8000 || config.Height > 8000:
		return Picture{}, fmt.Errorf("image dimensions exceed max allowed size: 8000 pixels")
	}
	return Picture{mime, raw}, nil
}

// dataURL is a picture in a URL of its own (RFC 2397).
func dataURL(url string) (Picture, error) {
	rest, ok := strings.CutPrefix(url, "data:")
	mime, data, cut := strings.Cut(rest, ";base64,")
	if !ok || !cut {
		return Picture{}, fmt.Errorf("image_url.url: the product loads nothing from elsewhere, want data:<type>;base64,…, got %.40q", url)
	}
	return picture(mime, data)
}
