package memory

import (
	"errors"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Check says what [Memory.Save] would find wrong with a memory by itself.
func Check(mem claw.Memory) error {
	_, err := CleanContent(mem.Content)
	_, categoryErr := cleanCategory(mem.Category)
	_, tagsErr := cleanTags(mem.Tags)
	return errors.Join(err, categoryErr, tagsErr)
}
