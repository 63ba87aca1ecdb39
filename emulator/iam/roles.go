package iam

import (
	"slices"

	"github.com/uploadtenant/uploadtenant/emulator/iam/policydoc"
	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

type roleView struct {
	RoleId, RoleName, Arn, Description string
	AssumeRolePolicyDocument           string `json:",omitempty" xml:",omitempty"`
	MaxSessionDuration                 int
	CreateDate                         string
	UpdateDate                         string    `json:",omitempty" xml:",omitempty"`
	AttachDate                         string    `json:",omitempty" xml:",omitempty"`
	Tags                               *tagsView `json:",omitempty" xml:",omitempty"`
}

func (c *call) viewRole(r *role) roleView {
	return roleView{
		RoleId: r.ID, RoleName: r.Name, Arn: c.arn("role/" + r.Name), Description: r.Description,
		AssumeRolePolicyDocument: r.Trust, MaxSessionDuration: r.MaxSession,
		CreateDate: formatTime(r.Created), UpdateDate: formatTime(r.Updated), Tags: viewTags(r.Tags),
	}
}

func createRole(c *call) (any, *rpc.Error) {
	r := &role{Created: c.now.UTC(), Updated: c.now.UTC()}
	var e *rpc.Error
	if r.Name, e = c.name("RoleName", names.role, maxRoleName); e != nil {
		return nil, e
	}
	if r.Trust, e = c.document("AssumeRolePolicyDocument", policydoc.Trust); e != nil {
		return nil, e
	}
	if r.Description, e = c.description("Description"); e != nil {
		return nil, e
	}
	if r.MaxSession, e = c.integer("MaxSessionDuration", minSessionDuration, minSessionDuration, maxSessionDuration); e != nil {
		return nil, e
	}
	if r.Tags, e = c.tags(); e != nil {
		return nil, e
	}
	r.ID = numericID('3', c.svc.randomBytes(8))
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.roles[r.Name] != nil {
		return nil, alreadyExists("Role", "The role does already exist.")
	}
	if len(s.current.roles) >= maxRoles {
		return nil, limitExceeded("Role", "The count of role beyond the current limits.")
	}
	return struct{ Role roleView }{c.viewRole(r)}, s.commit(change{Kind: kindRole, Name: r.Name, decoded: r})
}

func getRole(c *call) (any, *rpc.Error) {
	name, e := c.name("RoleName", names.role, maxRoleName)
	if e != nil {
		return nil, e
	}
	var r *role
	c.svc.read(func(st *state) { r = st.roles[name] })
	if r == nil {
		return nil, errNoRole()
	}
	return struct{ Role roleView }{c.viewRole(r)}, nil
}

func updateRole(c *call) (any, *rpc.Error) {
	name, e := c.name("RoleName", names.role, maxRoleName)
	if e != nil {
		return nil, e
	}
	trust := ""
	if c.params["NewAssumeRolePolicyDocument"] != "" {
		if trust, e = c.document("NewAssumeRolePolicyDocument", policydoc.Trust); e != nil {
			return nil, e
		}
	}
	description, e := c.description("NewDescription")
	if e != nil {
		return nil, e
	}
	duration, e := c.integer("NewMaxSessionDuration", 0, minSessionDuration, maxSessionDuration)
	if e != nil {
		return nil, e
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.roles[name]
	if old == nil {
		return nil, errNoRole()
	}
	r := *old
	r.Updated = c.now.UTC()
	if trust != "" {
		r.Trust = trust
	}
	if description != "" {
		r.Description = description
	}
	if duration != 0 {
		r.MaxSession = duration
	}
	return struct{ Role roleView }{c.viewRole(&r)}, s.commit(change{Kind: kindRole, Name: name, decoded: &r})
}

func deleteRole(c *call) (any, *rpc.Error) {
	name, e := c.name("RoleName", names.role, maxRoleName)
	if e != nil {
		return nil, e
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(c.now)
	r := s.current.roles[name]
	if r == nil {
		return nil, errNoRole()
	}
	// A detachment that has not propagated still blocks: clients retry this one.
	if settled := s.settled.roles[name]; len(r.Attached) > 0 || settled != nil && settled.ID == r.ID && len(settled.Attached) > 0 {
		return nil, deleteConflict("Role.Policy", "The role CAN NOT has any attached policy while deleting the role.")
	}
	return nil, s.commit(change{Kind: kindRole, Name: name})
}

func listRoles(c *call) (any, *rpc.Error) {
	var roles map[string]*role
	c.svc.read(func(st *state) { roles = st.clone().roles })
	page, next, e := c.page(keysOf(roles))
	if e != nil {
		return nil, e
	}
	out := rolesPage{IsTruncated: next != "", Marker: next}
	out.Roles.Role = []roleView{}
	for _, name := range page {
		v := c.viewRole(roles[name])
		v.AssumeRolePolicyDocument = "" // lists leave it out
		out.Roles.Role = append(out.Roles.Role, v)
	}
	return out, nil
}

type rolesPage struct {
	IsTruncated bool
	Marker      string `json:",omitempty" xml:",omitempty"`
	Roles       struct{ Role []roleView }
}

// attach adds a policy to a list of attachments within the limits of its type.
func attach(list []attachment, add attachment, owner string) ([]attachment, *rpc.Error) {
	count := 0
	for _, a := range list {
		if a.Type == add.Type && a.Name == add.Name {
			return nil, alreadyExists(owner+".Policy", "The policy has already been attached.")
		}
		if a.Type == add.Type {
			count++
		}
	}
	limit := maxCustomAttached
	if add.Type == typeSystem {
		limit = maxSystemAttached
	}
	if count >= limit {
		return nil, limitExceeded(owner+".Policy", "The count of attached policies beyond the current limits.")
	}
	return append(slices.Clone(list), add), nil
}

func detach(list []attachment, kind, name, owner string) ([]attachment, *rpc.Error) {
	i := slices.IndexFunc(list, func(a attachment) bool { return a.Type == kind && a.Name == name })
	if i < 0 {
		return nil, notExist(owner+".Policy", "The policy is not attached.")
	}
	return slices.Delete(slices.Clone(list), i, i+1), nil
}
