package iam

import (
	"sort"

	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

// changeAttached runs f on the attachments of a role or user and stores the result.
func (c *call) changeAttached(owner string, f func(list []attachment, add attachment) ([]attachment, *rpc.Error), mustExist bool) *rpc.Error {
	kind, policyName, e := c.policyParams()
	if e != nil {
		return e
	}
	rule, limit := names.role, maxRoleName
	if owner == "User" {
		rule, limit = names.user, maxUserName
	}
	name, e := c.name(owner+"Name", rule, limit)
	if e != nil {
		return e
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	r, u := s.current.roles[name], s.current.users[name]
	switch {
	case owner == "Role" && r == nil:
		return errNoRole()
	case owner == "User" && u == nil:
		return errNoUser()
	case mustExist && s.current.policy(kind, policyName) == nil:
		return errNoPolicy()
	}
	add := attachment{Type: kind, Name: policyName, Date: c.now.UTC()}
	if owner == "Role" {
		changed := *r
		if changed.Attached, e = f(r.Attached, add); e != nil {
			return e
		}
		return s.commit(change{Kind: kindRole, Name: name, decoded: &changed})
	}
	changed := *u
	if changed.Attached, e = f(u.Attached, add); e != nil {
		return e
	}
	return s.commit(change{Kind: kindUser, Name: name, decoded: &changed})
}

func attacher(owner string) func(*call) (any, *rpc.Error) {
	return func(c *call) (any, *rpc.Error) {
		return nil, c.changeAttached(owner, func(list []attachment, add attachment) ([]attachment, *rpc.Error) {
			return attach(list, add, owner)
		}, true)
	}
}

func detacher(owner string) func(*call) (any, *rpc.Error) {
	return func(c *call) (any, *rpc.Error) {
		return nil, c.changeAttached(owner, func(list []attachment, add attachment) ([]attachment, *rpc.Error) {
			return detach(list, add.Type, add.Name, owner)
		}, false)
	}
}

func attachPolicyToRole(c *call) (any, *rpc.Error)   { return attacher("Role")(c) }
func detachPolicyFromRole(c *call) (any, *rpc.Error) { return detacher("Role")(c) }
func attachPolicyToUser(c *call) (any, *rpc.Error)   { return attacher("User")(c) }
func detachPolicyFromUser(c *call) (any, *rpc.Error) { return detacher("User")(c) }

func listPoliciesForRole(c *call) (any, *rpc.Error) {
	name, e := c.name("RoleName", names.role, maxRoleName)
	if e != nil {
		return nil, e
	}
	return c.listAttached(errNoRole, func(st *state) ([]attachment, bool) {
		r := st.roles[name]
		if r == nil {
			return nil, false
		}
		return r.Attached, true
	})
}

func listPoliciesForUser(c *call) (any, *rpc.Error) {
	name, e := c.name("UserName", names.user, maxUserName)
	if e != nil {
		return nil, e
	}
	return c.listAttached(errNoUser, func(st *state) ([]attachment, bool) {
		u := st.users[name]
		if u == nil {
			return nil, false
		}
		return u.Attached, true
	})
}

func (c *call) listAttached(missing func() *rpc.Error, of func(*state) ([]attachment, bool)) (any, *rpc.Error) {
	var out struct{ Policies struct{ Policy []policyView } }
	out.Policies.Policy = []policyView{}
	found := false
	c.svc.read(func(st *state) {
		var list []attachment
		list, found = of(st)
		for _, a := range list {
			p := st.policy(a.Type, a.Name)
			if p == nil {
				continue
			}
			v := viewPolicy(p)
			v.AttachDate, v.CreateDate, v.UpdateDate, v.Tags = formatTime(a.Date), "", "", nil
			out.Policies.Policy = append(out.Policies.Policy, v)
		}
	})
	if !found {
		return nil, missing()
	}
	return out, nil
}

type entities struct {
	Groups struct{ Group []struct{} }
	Roles  struct{ Role []roleView }
	Users  struct{ User []userView }
}

func listEntitiesForPolicy(c *call) (any, *rpc.Error) {
	p, _, e := c.readPolicy()
	if e != nil {
		return nil, e
	}
	var out entities
	out.Groups.Group, out.Roles.Role, out.Users.User = []struct{}{}, []roleView{}, []userView{}
	c.svc.read(func(st *state) {
		for _, r := range st.roles {
			for _, a := range r.Attached {
				if a.Type == p.Type && a.Name == p.Name {
					v := c.viewRole(r)
					v.AssumeRolePolicyDocument, v.UpdateDate, v.AttachDate = "", "", formatTime(a.Date)
					out.Roles.Role = append(out.Roles.Role, v)
				}
			}
		}
		for _, u := range st.users {
			for _, a := range u.Attached {
				if a.Type == p.Type && a.Name == p.Name {
					v := viewUser(u)
					v.AttachDate = formatTime(a.Date)
					out.Users.User = append(out.Users.User, v)
				}
			}
		}
	})
	sort.Slice(out.Roles.Role, func(i, j int) bool { return out.Roles.Role[i].RoleName < out.Roles.Role[j].RoleName })
	sort.Slice(out.Users.User, func(i, j int) bool { return out.Users.User[i].UserName < out.Users.User[j].UserName })
	return out, nil
}
