package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// maxStats bounds what is read of an engine's answer.
const maxStats = 1 << 20

// readUsage is the memory that is charged to a container, in bytes, without files that the kernel would
// drop first: as docker stats counts it (total_inactive_file of cgroup v1, inactive_file of v2).
func readUsage(ctx context.Context, c *connection, id string) (int64, error) {
	got, err := c.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return 0, err
	}
	defer got.Body.Close()
	var stats api.StatsResponse
	if err := json.NewDecoder(io.LimitReader(got.Body, maxStats)).Decode(&stats); err != nil {
		return 0, err
	}
	used := stats.MemoryStats.Usage
	if used == 0 {
		return 0, errors.New("the engine counts no memory")
	}
	for _, name := range []string{"total_inactive_file", "inactive_file"} {
		if idle, ok := stats.MemoryStats.Stats[name]; ok {
			return int64(used - min(idle, used)), nil
		}
	}
	return int64(used), nil
}
