package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// MaxDocument is the largest custom policy document, in characters, that RAM takes
// (help.aliyun.com, RAM "Limits").
const MaxDocument = 6144

// Document is a RAM policy or trust document.
type Document struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Statement is one statement of a Document. The order of its lists carries no meaning.
type Statement struct {
	Effect    string                         `json:"Effect"`
	Principal map[string][]string            `json:"Principal,omitempty"`
	Action    []string                       `json:"Action"`
	Resource  []string                       `json:"Resource,omitempty"`
	Condition map[string]map[string][]string `json:"Condition,omitempty"`
}

// JSON renders the document without whitespace, because RAM counts it against MaxDocument.
func (d Document) JSON() string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		// A struct of strings, slices and maps of strings always encodes.
		panic(fmt.Sprintf("encode policy document: %v", err))
	}
	return string(bytes.TrimRight(out.Bytes(), "\n"))
}

// Equivalent tells whether two documents mean the same: the order of statements, actions, resources and
// condition values does not matter, nor whether a single value is a string or a list of one. Documents
// that are not JSON are equivalent to nothing.
func Equivalent(a, b string) bool {
	x, errA := canonical(a)
	y, errB := canonical(b)
	return errA == nil && errB == nil && reflect.DeepEqual(x, y)
}

// canonical decodes a document into a form in which equal meaning is deep equality.
func canonical(document string) (any, error) {
	var decoded map[string]any
	if err := json.Unmarshal([]byte(document), &decoded); err != nil {
		return nil, err
	}
	return normalize(decoded), nil
}

// normalize turns every list into a sorted set and every set of one into its element. All lists of a
// policy document are sets, so no meaning is lost.
func normalize(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = normalize(item)
		}
		return out
	case []any:
		items := make([]any, 0, len(v))
		keys := make([]string, 0, len(v))
		byKey := make(map[string]any, len(v))
		for _, item := range v {
			n := normalize(item)
			key := sortKey(n)
			if _, seen := byKey[key]; !seen {
				byKey[key] = n
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			items = append(items, byKey[key])
		}
		if len(items) == 1 {
			return items[0]
		}
		return items
	default:
		return v
	}
}

func sortKey(v any) string {
	// Decoded JSON always encodes, and encoding/json sorts map keys.
	raw, _ := json.Marshal(v)
	return string(raw)
}
