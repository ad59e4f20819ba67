package heartbeat

import "context"

// Tick lets a clock look once.
func Tick(ctx context.Context, c *Clock) error {
	_, err := c.tick(ctx)
	return err
}
