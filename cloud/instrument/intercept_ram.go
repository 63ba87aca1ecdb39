package instrument

import (
	"context"

	"github.com/uploadtenant/uploadtenant/cloud"
)

type roles struct {
	next cloud.Roles
	i    Interceptor
}

func (d roles) Observe(ctx context.Context, name string) (role cloud.Role, found bool, err error) {
	err = d.i.read(ctx, RAM, "ram:GetRole", name, func(ctx context.Context) (err error) {
		role, found, err = d.next.Observe(ctx, name)
		return err
	})
	return role, found, err
}

func (d roles) Create(ctx context.Context, role cloud.Role) error {
	return d.i.write(ctx, RAM, "ram:CreateRole", role.Name, func(ctx context.Context) error { return d.next.Create(ctx, role) })
}

func (d roles) Update(ctx context.Context, role cloud.Role) error {
	return d.i.write(ctx, RAM, "ram:UpdateRole", role.Name, func(ctx context.Context) error { return d.next.Update(ctx, role) })
}

func (d roles) Delete(ctx context.Context, name string) error {
	return d.i.write(ctx, RAM, "ram:DeleteRole", name, func(ctx context.Context) error { return d.next.Delete(ctx, name) })
}

type policies struct {
	next cloud.Policies
	i    Interceptor
}

func (d policies) Observe(ctx context.Context, name string) (p cloud.Policy, found bool, err error) {
	err = d.i.read(ctx, RAM, "ram:GetPolicy", name, func(ctx context.Context) (err error) {
		p, found, err = d.next.Observe(ctx, name)
		return err
	})
	return p, found, err
}

func (d policies) Create(ctx context.Context, p cloud.Policy) error {
	return d.i.write(ctx, RAM, "ram:CreatePolicy", p.Name, func(ctx context.Context) error { return d.next.Create(ctx, p) })
}

func (d policies) SetDocument(ctx context.Context, name, document string) error {
	return d.i.write(ctx, RAM, "ram:CreatePolicyVersion", name, func(ctx context.Context) error { return d.next.SetDocument(ctx, name, document) })
}

func (d policies) Delete(ctx context.Context, name string) error {
	return d.i.write(ctx, RAM, "ram:DeletePolicy", name, func(ctx context.Context) error { return d.next.Delete(ctx, name) })
}

type attachments struct {
	next cloud.Attachments
	i    Interceptor
}

func (d attachments) List(ctx context.Context, role string) (attached []cloud.AttachedPolicy, err error) {
	err = d.i.read(ctx, RAM, "ram:ListPoliciesForRole", role, func(ctx context.Context) (err error) {
		attached, err = d.next.List(ctx, role)
		return err
	})
	return attached, err
}

func (d attachments) Attach(ctx context.Context, policy, role string) error {
	return d.i.write(ctx, RAM, "ram:AttachPolicyToRole", role, func(ctx context.Context) error { return d.next.Attach(ctx, policy, role) })
}

func (d attachments) Detach(ctx context.Context, policy cloud.AttachedPolicy, role string) error {
	return d.i.write(ctx, RAM, "ram:DetachPolicyFromRole", role, func(ctx context.Context) error { return d.next.Detach(ctx, policy, role) })
}

type inventory struct {
	next cloud.Inventory
	i    Interceptor
}

func (d inventory) Roles(ctx context.Context, after string) (page []cloud.Described, next string, err error) {
	err = d.i.read(ctx, RAM, "ram:ListRoles", "", func(ctx context.Context) (err error) {
		page, next, err = d.next.Roles(ctx, after)
		return err
	})
	return page, next, err
}

func (d inventory) Policies(ctx context.Context, after string) (page []cloud.Described, next string, err error) {
	err = d.i.read(ctx, RAM, "ram:ListPolicies", "", func(ctx context.Context) (err error) {
		page, next, err = d.next.Policies(ctx, after)
		return err
	})
	return page, next, err
}
