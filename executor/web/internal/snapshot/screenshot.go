package snapshot

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/secureclaw/secureclaw/internal/run"
)

// The window of a picture. It is as wide as most pages are made for.
const (
	pictureWidth  = 1280
	pictureHeight = 800

	picturePatience = 10 * time.Second
)

// Screenshot takes a picture of the window that fits into run.MaxPicture.
func Screenshot(ctx context.Context) (*run.Picture, error) { return screenshot(ctx, run.MaxPicture) }

func screenshot(ctx context.Context, limit int) (*run.Picture, error) {
	ctx, cancel := context.WithTimeout(ctx, picturePatience)
	defer cancel()
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: pictureWidth, Height: pictureHeight, DeviceScaleFactor: 1,
	}); err != nil {
		return nil, err
	}
	type try struct {
		format  page.CaptureScreenshotFormat
		quality int64
		scale   float64
	}
	// Photographs do not get small as PNG, and noise does not even as JPEG.
	for _, t := range []try{{"png", 0, 1}, {"jpeg", 80, 1}, {"jpeg", 60, 1}, {"jpeg", 40, 1}, {"jpeg", 20, 1}, {"jpeg", 30, 0.5}, {"jpeg", 20, 0.25}} {
		params := page.CaptureScreenshotParams{Format: t.format}
		if t.quality > 0 {
			params.Quality = &t.quality
		}
		if t.scale != 1 {
			metrics, err := chromedp.Call(ctx, page.GetLayoutMetrics, cdp.Empty{})
			if err != nil {
				return nil, err
			}
			params.Clip = &page.Viewport{X: float64(metrics.CSSLayoutViewport.PageX), Y: float64(metrics.CSSLayoutViewport.PageY),
				Width: pictureWidth, Height: pictureHeight, Scale: t.scale}
		}
		shot, err := chromedp.Call(ctx, page.CaptureScreenshot, params)
		if err != nil {
			return nil, err
		}
		if len(shot.Data) > limit {
			continue
		}
		size, err := sizeOf(shot.Data, t.format)
		if err != nil {
			return nil, err
		}
		return &run.Picture{MIME: "image/" + string(t.format), Width: size.Width, Height: size.Height, Data: shot.Data}, nil
	}
	return nil, errors.New("no picture of the page is small enough")
}

func sizeOf(data []byte, format page.CaptureScreenshotFormat) (image.Config, error) {
	if format == page.CaptureScreenshotFormatPng {
		return png.DecodeConfig(bytes.NewReader(data))
	}
	return jpeg.DecodeConfig(bytes.NewReader(data))
}
