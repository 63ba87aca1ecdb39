package iam

import (
	"slices"
	"strconv"

	"github.com/uploadtenant/uploadtenant/emulator/iam/policydoc"
	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

type policyView struct {
	PolicyName, PolicyType, Description string
	DefaultVersion                      string
	CreateDate                          string `json:",omitempty" xml:",omitempty"`
	UpdateDate                          string `json:",omitempty" xml:",omitempty"`
	AttachDate                          string `json:",omitempty" xml:",omitempty"`
	AttachmentCount                     *int   `json:",omitempty" xml:",omitempty"`
	PolicyDocument                      string `json:",omitempty" xml:",omitempty"`

	Tags *tagsView `json:",omitempty" xml:",omitempty"`
}

type versionView struct {
	VersionId        string
	IsDefaultVersion bool
	CreateDate       string
	PolicyDocument   string `json:",omitempty" xml:",omitempty"`
}

func viewPolicy(p *policy) policyView {
	return policyView{PolicyName: p.Name, PolicyType: p.Type, Description: p.Description, DefaultVersion: p.Default,
		CreateDate: formatTime(p.Created), UpdateDate: formatTime(p.Updated), Tags: viewTags(p.Tags)}
}

func (p *policy) viewVersion(v policyVersion) versionView {
	return versionView{VersionId: v.ID, IsDefaultVersion: v.ID == p.Default, CreateDate: formatTime(v.Created), PolicyDocument: v.Document}
}

func (s *state) attachmentCount(p *policy) *int {
	n := 0
	for _, r := range s.roles {
		n += countAttached(r.Attached, p)
	}
	for _, u := range s.users {
		n += countAttached(u.Attached, p)
	}
	return &n
}

func countAttached(list []attachment, p *policy) int {
	n := 0
	for _, a := range list {
		if a.Type == p.Type && a.Name == p.Name {
			n++
		}
	}
	return n
}

func createPolicy(c *call) (any, *rpc.Error) {
	p := &policy{Type: typeCustom, Default: "v1", Last: 1, Created: c.now.UTC(), Updated: c.now.UTC()}
	var e *rpc.Error
	if p.Name, e = c.name("PolicyName", names.policy, maxPolicyName); e != nil {
		return nil, e
	}
	document, e := c.document("PolicyDocument", policydoc.Identity)
	if e != nil {
		return nil, e
	}
	if p.Description, e = c.description("Description"); e != nil {
		return nil, e
	}
	if p.Tags, e = c.tags(); e != nil {
		return nil, e
	}
	p.Versions = []policyVersion{{ID: "v1", Document: document, Created: c.now.UTC()}}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.policies[p.Name] != nil || s.current.system[p.Name] != nil {
		return nil, alreadyExists("Policy", "The policy does already exist.")
	}
	if len(s.current.policies) >= maxPolicies {
		return nil, limitExceeded("Policy", "The count of policy beyond the current limits.")
	}
	return struct{ Policy policyView }{viewPolicy(p)}, s.commit(change{Kind: kindPolicy, Name: p.Name, decoded: p})
}

// policyParams reads the type and name that name a policy.
func (c *call) policyParams() (kind, name string, refused *rpc.Error) {
	if e := c.need("PolicyType"); e != nil {
		return "", "", e
	}
	kind = c.params["PolicyType"]
	if kind != typeSystem && kind != typeCustom {
		return "", "", invalid("PolicyType", `The parameter - "PolicyType" must be System or Custom.`)
	}
	name, refused = c.name("PolicyName", names.policy, maxPolicyName)
	return kind, name, refused
}

// readPolicy finds the policy that PolicyType and PolicyName name, as readers see it.
func (c *call) readPolicy() (*policy, *int, *rpc.Error) {
	kind, name, e := c.policyParams()
	if e != nil {
		return nil, nil, e
	}
	var p *policy
	var count *int
	c.svc.read(func(st *state) {
		if p = st.policy(kind, name); p != nil {
			count = st.attachmentCount(p)
		}
	})
	if p == nil {
		return nil, nil, errNoPolicy()
	}
	return p, count, nil
}

func getPolicy(c *call) (any, *rpc.Error) {
	p, count, e := c.readPolicy()
	if e != nil {
		return nil, e
	}
	v := viewPolicy(p)
	v.AttachmentCount = count
	out := struct {
		Policy               policyView
		DefaultPolicyVersion versionView
	}{Policy: v}
	for _, version := range p.Versions {
		if version.ID == p.Default {
			out.DefaultPolicyVersion = p.viewVersion(version)
		}
	}
	return out, nil
}

func listPolicies(c *call) (any, *rpc.Error) {
	kind := c.params["PolicyType"]
	if kind != "" && kind != typeSystem && kind != typeCustom {
		return nil, invalid("PolicyType", `The parameter - "PolicyType" must be System or Custom.`)
	}
	views := map[string]policyView{}
	c.svc.read(func(st *state) {
		for _, list := range []map[string]*policy{st.system, st.policies} {
			for _, p := range list {
				if kind == "" || p.Type == kind {
					v := viewPolicy(p)
					v.AttachmentCount = st.attachmentCount(p)
					views[p.Name] = v
				}
			}
		}
	})
	page, next, e := c.page(keysOf(views))
	if e != nil {
		return nil, e
	}
	out := policiesPage{IsTruncated: next != "", Marker: next}
	out.Policies.Policy = []policyView{}
	for _, name := range page {
		out.Policies.Policy = append(out.Policies.Policy, views[name])
	}
	return out, nil
}

type policiesPage struct {
	IsTruncated bool
	Marker      string `json:",omitempty" xml:",omitempty"`
	Policies    struct{ Policy []policyView }
}

// changePolicy runs f on a copy of a custom policy and stores the copy.
func (c *call) changePolicy(f func(*policy) *rpc.Error) *rpc.Error {
	name, e := c.name("PolicyName", names.policy, maxPolicyName)
	if e != nil {
		return e
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.policies[name]
	if old == nil {
		return errNoPolicy()
	}
	p := *old
	p.Versions = slices.Clone(old.Versions)
	p.Updated = c.now.UTC()
	if e := f(&p); e != nil {
		return e
	}
	return s.commit(change{Kind: kindPolicy, Name: name, decoded: &p})
}

func updatePolicyDescription(c *call) (any, *rpc.Error) {
	text, e := c.description("NewDescription")
	if e != nil {
		return nil, e
	}
	var v policyView
	e = c.changePolicy(func(p *policy) *rpc.Error {
		p.Description = text
		v = viewPolicy(p)
		return nil
	})
	return struct{ Policy policyView }{v}, e
}

// rotateOldest is the one RotateStrategy besides None.
const rotateOldest = "DeleteOldestNonDefaultVersionWhenLimitExceeded"

func createPolicyVersion(c *call) (any, *rpc.Error) {
	document, e := c.document("PolicyDocument", policydoc.Identity)
	if e != nil {
		return nil, e
	}
	asDefault, e := c.boolean("SetAsDefault")
	if e != nil {
		return nil, e
	}
	rotate := c.params["RotateStrategy"]
	if rotate != "" && rotate != "None" && rotate != rotateOldest {
		return nil, invalid("RotateStrategy", `The parameter - "RotateStrategy" must be None or `+rotateOldest+`.`)
	}
	var v versionView
	e = c.changePolicy(func(p *policy) *rpc.Error {
		if len(p.Versions) >= maxVersions {
			if rotate != rotateOldest {
				return limitExceeded("Policy.Version", "The count of policy version beyond the current limits.")
			}
			oldest := slices.IndexFunc(p.Versions, func(v policyVersion) bool { return v.ID != p.Default })
			p.Versions = slices.Delete(p.Versions, oldest, oldest+1)
		}
		p.Last++
		added := policyVersion{ID: "v" + strconv.Itoa(p.Last), Document: document, Created: c.now.UTC()}
		p.Versions = append(p.Versions, added)
		if asDefault {
			p.Default = added.ID
		}
		v = p.viewVersion(added)
		return nil
	})
	return struct{ PolicyVersion versionView }{v}, e
}

func errNoVersion() *rpc.Error {
	return notExist("Policy.Version", "The policy version does not exist.")
}

func getPolicyVersion(c *call) (any, *rpc.Error) {
	p, _, e := c.readPolicy()
	if e != nil {
		return nil, e
	}
	if e := c.need("VersionId"); e != nil {
		return nil, e
	}
	for _, v := range p.Versions {
		if v.ID == c.params["VersionId"] {
			return struct{ PolicyVersion versionView }{p.viewVersion(v)}, nil
		}
	}
	return nil, errNoVersion()
}

func listPolicyVersions(c *call) (any, *rpc.Error) {
	p, _, e := c.readPolicy()
	if e != nil {
		return nil, e
	}
	var out struct {
		PolicyVersions struct{ PolicyVersion []versionView }
	}
	for _, v := range p.Versions {
		out.PolicyVersions.PolicyVersion = append(out.PolicyVersions.PolicyVersion, p.viewVersion(v))
	}
	return out, nil
}

func deletePolicyVersion(c *call) (any, *rpc.Error) {
	if e := c.need("VersionId"); e != nil {
		return nil, e
	}
	return nil, c.changePolicy(func(p *policy) *rpc.Error {
		i := slices.IndexFunc(p.Versions, func(v policyVersion) bool { return v.ID == c.params["VersionId"] })
		if i < 0 {
			return errNoVersion()
		}
		if p.Versions[i].ID == p.Default {
			return deleteConflict("Policy.Version.Default", "The default policy version CAN NOT be deleted.")
		}
		p.Versions = slices.Delete(p.Versions, i, i+1)
		return nil
	})
}

func setDefaultPolicyVersion(c *call) (any, *rpc.Error) {
	if e := c.need("VersionId"); e != nil {
		return nil, e
	}
	return nil, c.changePolicy(func(p *policy) *rpc.Error {
		if p.document(c.params["VersionId"]) == "" {
			return errNoVersion()
		}
		p.Default = c.params["VersionId"]
		return nil
	})
}

func deletePolicy(c *call) (any, *rpc.Error) {
	name, e := c.name("PolicyName", names.policy, maxPolicyName)
	if e != nil {
		return nil, e
	}
	cascade, e := c.boolean("CascadingDelete")
	if e != nil {
		return nil, e
	}
	s := c.svc
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(c.now)
	p := s.current.policies[name]
	if p == nil {
		return nil, errNoPolicy()
	}
	if cascade {
		return nil, s.commit(append(s.detachEverywhere(p), change{Kind: kindPolicy, Name: name})...)
	}
	for _, st := range []*state{s.current, s.settled} {
		for _, r := range st.roles {
			if countAttached(r.Attached, p) > 0 {
				return nil, deleteConflict("Policy.Role", "The policy CAN NOT be attached to any role while deleting the policy.")
			}
		}
		for _, u := range st.users {
			if countAttached(u.Attached, p) > 0 {
				return nil, deleteConflict("Policy.User", "The policy CAN NOT be attached to any user while deleting the policy.")
			}
		}
	}
	if len(p.Versions) > 1 {
		return nil, deleteConflict("Policy.Version", "The policy CAN NOT has any version except the default version while deleting the policy.")
	}
	return nil, s.commit(change{Kind: kindPolicy, Name: name})
}

// detachEverywhere lists the changes that take a policy off every role and user. s.mu must be held.
func (s *Service) detachEverywhere(p *policy) []change {
	var out []change
	for _, r := range s.current.roles {
		if list, e := detach(r.Attached, p.Type, p.Name, ""); e == nil {
			changed := *r
			changed.Attached = list
			out = append(out, change{Kind: kindRole, Name: r.Name, decoded: &changed})
		}
	}
	for _, u := range s.current.users {
		if list, e := detach(u.Attached, p.Type, p.Name, ""); e == nil {
			changed := *u
			changed.Attached = list
			out = append(out, change{Kind: kindUser, Name: u.Name, decoded: &changed})
		}
	}
	return out
}
