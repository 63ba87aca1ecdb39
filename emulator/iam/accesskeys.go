package iam

import (
	"sort"

	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

type accessKeyView struct {
	AccessKeyId     string
	AccessKeySecret string `json:",omitempty" xml:",omitempty"`
	Status          string
	CreateDate      string
}

func viewKey(k *accessKey) accessKeyView {
	v := accessKeyView{AccessKeyId: k.ID, Status: "Inactive", CreateDate: formatTime(k.Created)}
	if k.Active {
		v.Status = "Active"
	}
	return v
}

func createAccessKey(c *call) (any, *rpc.Error) {
	name := c.userName()
	k := &accessKey{ID: "LTAI5t" + c.svc.randomText(18), Secret: c.svc.randomText(30), User: name, Active: true, Created: c.now.UTC()}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.users[name] == nil {
		return nil, errNoUser()
	}
	if len(s.current.keysOf(name)) >= maxKeysPerUser {
		return nil, limitExceeded("User.AccessKey", "The count of access key beyond the current limits.")
	}
	v := viewKey(k)
	v.AccessKeySecret = k.Secret // shown this once
	return struct{ AccessKey accessKeyView }{v}, s.commit(change{Kind: kindKey, Name: k.ID, decoded: k})
}

// withKey runs f on the key that the call names. s.mu is held meanwhile.
func (c *call) withKey(f func(*accessKey) *rpc.Error) *rpc.Error {
	if e := c.need("UserAccessKeyId"); e != nil {
		return e
	}
	name := c.userName()
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.users[name] == nil {
		return errNoUser()
	}
	k := s.current.keys[c.params["UserAccessKeyId"]]
	if k == nil || k.User != name {
		return notExist("User.AccessKey", "The access key does not exist.")
	}
	return f(k)
}

func updateAccessKey(c *call) (any, *rpc.Error) {
	status := c.params["Status"]
	if status != "Active" && status != "Inactive" {
		return nil, invalid("Status", `The parameter - "Status" must be Active or Inactive.`)
	}
	return nil, c.withKey(func(k *accessKey) *rpc.Error {
		changed := *k
		changed.Active = status == "Active"
		return c.svc.commit(change{Kind: kindKey, Name: k.ID, decoded: &changed})
	})
}

func deleteAccessKey(c *call) (any, *rpc.Error) {
	return nil, c.withKey(func(k *accessKey) *rpc.Error {
		return c.svc.commit(change{Kind: kindKey, Name: k.ID})
	})
}

func listAccessKeys(c *call) (any, *rpc.Error) {
	name := c.userName()
	var out struct {
		AccessKeys struct{ AccessKey []accessKeyView }
	}
	out.AccessKeys.AccessKey = []accessKeyView{}
	found := false
	c.svc.read(func(st *state) {
		found = st.users[name] != nil
		for _, k := range st.keysOf(name) {
			out.AccessKeys.AccessKey = append(out.AccessKeys.AccessKey, viewKey(k))
		}
	})
	if !found {
		return nil, errNoUser()
	}
	list := out.AccessKeys.AccessKey
	sort.Slice(list, func(i, j int) bool { return list[i].AccessKeyId < list[j].AccessKeyId })
	return out, nil
}
