package ticket

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Keys of a tenant, by id: 32 bytes each.
type Keys struct {
	// Current is the id of the key that seals.
	Current string            `json:"current"`
	Keys    map[string][]byte `json:"keys"`
}

// LoadKeys reads a keys file.
func LoadKeys(file string) (Keys, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return Keys{}, fmt.Errorf("read the ticket keys: %w", err)
	}
	return ParseKeys(raw)
}

// ParseKeys reads {"current":"<id>","keys":{"<id>":"<base64 of 32 bytes>"}}. Keys other than the current one
// only open; keep them for as long as objects that carry their tickets should be recordable. Its errors
// never hold a key.
func ParseKeys(raw []byte) (Keys, error) {
	var parsed Keys
	if err := json.Unmarshal(raw, &parsed); err != nil {
		// The decoder's message could quote a key.
		return Keys{}, errors.New(`the ticket keys are not {"current":"<id>","keys":{"<id>":"<base64 of 32 bytes>"}}`)
	}
	for id, key := range parsed.Keys {
		if len(id) == 0 || len(id) > 64 {
			return Keys{}, fmt.Errorf("ticket key id %q must have 1 to 64 characters", id)
		}
		if len(key) != 32 {
			return Keys{}, fmt.Errorf("ticket key %q has %d bytes, it must have 32", id, len(key))
		}
	}
	if parsed.Keys[parsed.Current] == nil {
		return Keys{}, fmt.Errorf("the current ticket key %q is not among the keys", parsed.Current)
	}
	return parsed, nil
}
