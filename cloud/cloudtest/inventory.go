package cloudtest

import (
	"context"
	"maps"
	"slices"

	"github.com/uploadtenant/uploadtenant/cloud"
)

// pageSize of a Fake's lists is small, so that every test that lists more than a handful also turns pages.
const pageSize = 3

type inventory struct{ *Fake }

func (f inventory) Roles(ctx context.Context, after string) (page []cloud.Described, next string, err error) {
	err = f.do(ctx, "ram:ListRoles", "", func() error {
		page, next = pageOf(f.roles, after, func(r cloud.Role) cloud.Described { return cloud.Described{Name: r.Name, Description: r.Description} })
		return nil
	})
	return page, next, err
}

func (f inventory) Policies(ctx context.Context, after string) (page []cloud.Described, next string, err error) {
	err = f.do(ctx, "ram:ListPolicies", "", func() error {
		page, next = pageOf(f.policies, after, func(p cloud.Policy) cloud.Described { return cloud.Described{Name: p.Name, Description: p.Description} })
		return nil
	})
	return page, next, err
}

// pageOf is the page that follows the name after, and the name that the next one follows.
func pageOf[T any](all map[string]T, after string, describe func(T) cloud.Described) (page []cloud.Described, next string) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name <= after && after != "" {
			continue
		}
		if len(page) == pageSize {
			return page, page[len(page)-1].Name
		}
		page = append(page, describe(all[name]))
	}
	return page, ""
}
