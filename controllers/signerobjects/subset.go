package signerobjects

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Covers tells whether a live object already holds everything that a desired one declares, so that
// applying it would change nothing. Fields that only the live object has, such as defaults of the API
// server and what others added, do not count. Lists of named items are compared by name.
func Covers(live, desired any) (bool, error) {
	have, err := plain(live)
	if err != nil {
		return false, err
	}
	want, err := plain(desired)
	if err != nil {
		return false, err
	}
	return covers(have, want), nil
}

func plain(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	return out, nil
}

func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			// An empty map may be dropped by the API server.
			return len(want) == 0
		}
		for key, value := range want {
			if key == "apiVersion" || key == "kind" {
				continue // typed objects read from a cache have none
			}
			if !covers(have[key], value) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		if !ok {
			return len(want) == 0
		}
		return coversList(have, want)
	default:
		return reflect.DeepEqual(have, want)
	}
}

// mergeKeys identify the items of lists that several writers share.
var mergeKeys = []string{"name", "uid", "mountPath", "containerPort"}

func coversList(have, want []any) bool {
	for _, key := range mergeKeys {
		byKey, ok := index(have, key)
		if !ok {
			continue
		}
		if _, ok := index(want, key); !ok {
			continue
		}
		for _, item := range want {
			if !covers(byKey[item.(map[string]any)[key]], item) {
				return false
			}
		}
		return true
	}
	if len(have) != len(want) {
		return false
	}
	for i := range want {
		if !covers(have[i], want[i]) {
			return false
		}
	}
	return true
}

// index returns the items by key; ok is false when some item has none.
func index(items []any, key string) (map[any]any, bool) {
	out := make(map[any]any, len(items))
	for _, item := range items {
		fields, isMap := item.(map[string]any)
		if !isMap || fields[key] == nil {
			return nil, false
		}
		out[fields[key]] = fields
	}
	return out, len(items) > 0
}
