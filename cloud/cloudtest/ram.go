package cloudtest

import (
	"context"
	"slices"

	"github.com/uploadtenant/uploadtenant/cloud"
)

type roles struct{ *Fake }

func (f roles) Observe(ctx context.Context, name string) (role cloud.Role, found bool, err error) {
	err = f.do(ctx, "ram:GetRole", name, func() error {
		role, found = f.roles[name]
		return nil
	})
	return role, found && err == nil, err
}

func (f roles) Create(ctx context.Context, role cloud.Role) error {
	return f.do(ctx, "ram:CreateRole", role.Name, func() error {
		if _, ok := f.roles[role.Name]; ok {
			return refuse(cloud.Retryable, "ram:CreateRole", role.Name, "EntityAlreadyExists.Role")
		}
		f.roles[role.Name] = role
		return nil
	})
}

func (f roles) Update(ctx context.Context, role cloud.Role) error {
	return f.do(ctx, "ram:UpdateRole", role.Name, func() error {
		if _, ok := f.roles[role.Name]; !ok {
			return refuse(cloud.Retryable, "ram:UpdateRole", role.Name, "EntityNotExist.Role")
		}
		f.roles[role.Name] = role
		return nil
	})
}

func (f roles) Delete(ctx context.Context, name string) error {
	return f.do(ctx, "ram:DeleteRole", name, func() error {
		if len(f.attached[name]) > 0 {
			return refuse(cloud.Retryable, "ram:DeleteRole", name, "DeleteConflict.Role.Policy")
		}
		delete(f.roles, name)
		return nil
	})
}

type policies struct{ *Fake }

func (f policies) Observe(ctx context.Context, name string) (p cloud.Policy, found bool, err error) {
	err = f.do(ctx, "ram:GetPolicy", name, func() error {
		p, found = f.policies[name]
		return nil
	})
	return p, found && err == nil, err
}

func (f policies) Create(ctx context.Context, p cloud.Policy) error {
	return f.do(ctx, "ram:CreatePolicy", p.Name, func() error {
		if _, ok := f.policies[p.Name]; ok {
			return refuse(cloud.Retryable, "ram:CreatePolicy", p.Name, "EntityAlreadyExists.Policy")
		}
		f.policies[p.Name] = p
		return nil
	})
}

func (f policies) SetDocument(ctx context.Context, name, document string) error {
	return f.do(ctx, "ram:CreatePolicyVersion", name, func() error {
		p, ok := f.policies[name]
		if !ok {
			return refuse(cloud.Retryable, "ram:CreatePolicyVersion", name, "EntityNotExist.Policy")
		}
		p.Document = document
		f.policies[name] = p
		return nil
	})
}

func (f policies) Delete(ctx context.Context, name string) error {
	return f.do(ctx, "ram:DeletePolicy", name, func() error {
		for _, attached := range f.attached {
			if slices.Contains(attached, cloud.AttachedPolicy{Name: name}) {
				return refuse(cloud.Retryable, "ram:DeletePolicy", name, "DeleteConflict.Policy.Role")
			}
		}
		delete(f.policies, name)
		return nil
	})
}

type attachments struct{ *Fake }

func (f attachments) List(ctx context.Context, role string) (attached []cloud.AttachedPolicy, err error) {
	err = f.do(ctx, "ram:ListPoliciesForRole", role, func() error {
		attached = slices.Clone(f.attached[role])
		return nil
	})
	return attached, err
}

func (f attachments) Attach(ctx context.Context, policy, role string) error {
	return f.do(ctx, "ram:AttachPolicyToRole", role, func() error {
		_, hasRole := f.roles[role]
		_, hasPolicy := f.policies[policy]
		if !hasRole || !hasPolicy {
			return refuse(cloud.Retryable, "ram:AttachPolicyToRole", role, "EntityNotExist.Role")
		}
		if own := (cloud.AttachedPolicy{Name: policy}); !slices.Contains(f.attached[role], own) {
			f.attached[role] = append(f.attached[role], own)
		}
		return nil
	})
}

func (f attachments) Detach(ctx context.Context, policy cloud.AttachedPolicy, role string) error {
	return f.do(ctx, "ram:DetachPolicyFromRole", role, func() error {
		f.attached[role] = slices.DeleteFunc(f.attached[role], func(p cloud.AttachedPolicy) bool { return p == policy })
		return nil
	})
}
