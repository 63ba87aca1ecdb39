package iam

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

// Limits of tags: per call and per resource.
const (
	maxTaggedResources = 50
	maxTags            = 20
	maxTagKey          = 128
	maxTagValue        = 256
)

type tagView struct{ TagKey, TagValue string }
type tagsView struct{ Tag []tagView }

func viewTags(tags []tag) *tagsView {
	if len(tags) == 0 {
		return nil
	}
	out := &tagsView{}
	for _, t := range tags {
		out.Tag = append(out.Tag, tagView{t.Key, t.Value})
	}
	return out
}

// list reads a repeated parameter: prefix1, prefix2, … without a gap. SDKs name the items ResourceNames.1 or,
// for some generators, ResourceName.1; both spellings of a prefix are accepted.
func (c *call) list(prefix string) []string {
	var out []string
	for i := 1; ; i++ {
		v, ok := c.params[prefix+strconv.Itoa(i)]
		if !ok {
			v, ok = c.params[strings.Replace(prefix, "s.", ".", 1)+strconv.Itoa(i)]
		}
		if !ok {
			return out
		}
		out = append(out, v)
	}
}

// tags reads Tag.1.Key, Tag.1.Value, …
func (c *call) tags() ([]tag, *rpc.Error) {
	var out []tag
	for i := 1; ; i++ {
		prefix := "Tag." + strconv.Itoa(i) + "."
		key, ok := c.params[prefix+"Key"]
		if !ok {
			break
		}
		value := c.params[prefix+"Value"]
		switch {
		case key == "" || utf8.RuneCountInString(key) > maxTagKey || reservedTag(key):
			return nil, invalid("Tag.Key", `The tag key must be 1 to 128 characters and must not begin with "aliyun" or "acs:" or hold http(s)://.`)
		case utf8.RuneCountInString(value) > maxTagValue || strings.Contains(value, "http://") || strings.Contains(value, "https://"):
			return nil, invalid("Tag.Value", "The tag value must be at most 256 characters and must not hold http(s)://.")
		case slices.ContainsFunc(out, func(t tag) bool { return t.Key == key }):
			return nil, invalid("Tag.Key", "The tag key "+key+" is given twice.")
		}
		out = append(out, tag{key, value})
	}
	if len(out) > maxTags {
		return nil, limitExceeded("Tag", "The count of tags beyond the current limits.")
	}
	return out, nil
}

func reservedTag(key string) bool {
	lower := strings.ToLower(key)
	return strings.HasPrefix(lower, "aliyun") || strings.HasPrefix(lower, "acs:") ||
		strings.Contains(lower, "http://") || strings.Contains(lower, "https://")
}

// tagged gives access to the tags of one resource. change returns the change that stores other tags.
type tagged struct {
	kind, name, id string
	tags           []tag
	change         func([]tag) change
}

// taggedIn finds a resource that can carry tags.
func taggedIn(st *state, kind, name string) (tagged, *rpc.Error) {
	switch kind {
	case "role":
		if r := st.roles[name]; r != nil {
			return tagged{kind, name, r.ID, r.Tags, func(t []tag) change {
				changed := *r
				changed.Tags = t
				return change{Kind: kindRole, Name: name, decoded: &changed}
			}}, nil
		}
		return tagged{}, errNoRole()
	case "policy":
		if p := st.policies[name]; p != nil {
			return tagged{kind, name, p.Name, p.Tags, func(t []tag) change {
				changed := *p
				changed.Tags = t
				return change{Kind: kindPolicy, Name: name, decoded: &changed}
			}}, nil
		}
		return tagged{}, errNoPolicy()
	case "user":
		if u := st.users[name]; u != nil {
			return tagged{kind, name, u.ID, u.Tags, func(t []tag) change {
				changed := *u
				changed.Tags = t
				return change{Kind: kindUser, Name: name, decoded: &changed}
			}}, nil
		}
		return tagged{}, errNoUser()
	}
	return tagged{}, invalid("ResourceType", `The parameter - "ResourceType" must be role, policy or user.`)
}

// changeTags runs f on the tags of every resource that the call names; all change or none.
func (c *call) changeTags(f func([]tag) ([]tag, *rpc.Error)) *rpc.Error {
	kind, resources, e := c.taggedParams()
	if e != nil {
		return e
	}
	if len(resources) == 0 {
		return rpc.Missing("ResourceNames")
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	var changes []change
	for _, name := range resources {
		r, e := taggedIn(s.current, kind, name)
		if e != nil {
			return e
		}
		tags, e := f(slices.Clone(r.tags))
		if e != nil {
			return e
		}
		changes = append(changes, r.change(tags))
	}
	return s.commit(changes...)
}

func (c *call) taggedParams() (kind string, resources []string, refused *rpc.Error) {
	if e := c.need("ResourceType"); e != nil {
		return "", nil, e
	}
	resources = c.list("ResourceNames.")
	if len(resources) > maxTaggedResources {
		return "", nil, limitExceeded("ResourceNames", "At most 50 resources can be tagged in one call.")
	}
	return strings.ToLower(c.params["ResourceType"]), resources, nil
}

func tagResources(c *call) (any, *rpc.Error) {
	add, e := c.tags()
	if e != nil {
		return nil, e
	}
	if len(add) == 0 {
		return nil, rpc.Missing("Tag")
	}
	return nil, c.changeTags(func(tags []tag) ([]tag, *rpc.Error) {
		for _, t := range add {
			if i := slices.IndexFunc(tags, func(old tag) bool { return old.Key == t.Key }); i >= 0 {
				tags[i] = t
			} else {
				tags = append(tags, t)
			}
		}
		if len(tags) > maxTags {
			return nil, limitExceeded("Tag", "The count of tags beyond the current limits.")
		}
		return tags, nil
	})
}

func untagResources(c *call) (any, *rpc.Error) {
	keys := c.list("TagKeys.")
	all, e := c.boolean("All")
	if e != nil {
		return nil, e
	}
	if len(keys) == 0 && !all {
		return nil, rpc.Missing("TagKey")
	}
	return nil, c.changeTags(func(tags []tag) ([]tag, *rpc.Error) {
		return slices.DeleteFunc(tags, func(t tag) bool {
			return len(keys) == 0 || slices.Contains(keys, t.Key)
		}), nil
	})
}

type taggedView struct {
	ResourceId, ResourceName, ResourceType string
	TagKey, TagValue                       string
}

func listTagResources(c *call) (any, *rpc.Error) {
	kind, wanted, e := c.taggedParams()
	if e != nil {
		return nil, e
	}
	filter, e := c.tags()
	if e != nil {
		return nil, e
	}
	views := map[string]taggedView{}
	c.svc.read(func(st *state) {
		candidates := wanted
		if len(candidates) == 0 {
			candidates = map[string][]string{"role": keysOf(st.roles), "policy": keysOf(st.policies), "user": keysOf(st.users)}[kind]
		}
		for _, name := range candidates {
			r, refused := taggedIn(st, kind, name)
			if refused != nil {
				e = refused
				continue
			}
			if !hasTags(r.tags, filter) {
				continue
			}
			for _, t := range r.tags {
				views[name+"\x00"+t.Key] = taggedView{r.id, name, kind, t.Key, t.Value}
			}
		}
		if len(wanted) == 0 && candidates != nil {
			e = nil
		}
	})
	if e != nil {
		return nil, e
	}
	return c.tagPage(views)
}

func (c *call) tagPage(views map[string]taggedView) (any, *rpc.Error) {
	// This operation calls its marker NextToken and its page size PageSize.
	paged := *c
	paged.params = map[string]string{"Marker": c.params["NextToken"], "MaxItems": c.params["PageSize"]}
	page, next, e := paged.page(keysOf(views))
	if e != nil {
		return nil, e
	}
	out := struct {
		IsTruncated  bool
		NextToken    string `json:",omitempty" xml:",omitempty"`
		TagResources struct{ TagResource []taggedView }
	}{IsTruncated: next != "", NextToken: next}
	out.TagResources.TagResource = []taggedView{}
	for _, key := range page {
		out.TagResources.TagResource = append(out.TagResources.TagResource, views[key])
	}
	return out, nil
}

// hasTags reports whether tags holds every tag of the filter; an empty value stands for any.
func hasTags(tags, filter []tag) bool {
	for _, want := range filter {
		if !slices.ContainsFunc(tags, func(t tag) bool { return t.Key == want.Key && (want.Value == "" || t.Value == want.Value) }) {
			return false
		}
	}
	return true
}
