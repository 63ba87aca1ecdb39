package aliyun

import (
	"context"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"

	"github.com/uploadtenant/uploadtenant/cloud"
)

// pageSize of a list. RAM takes up to 1,000; its own default is smaller, and so is an answer that a slow
// network must carry within one call's time.
const pageSize = 200

type inventoryAPI struct{ *rpc }

// Roles lists a page of the account's roles.
func (a *inventoryAPI) Roles(ctx context.Context, after string) ([]cloud.Described, string, error) {
	request := ram.CreateListRolesRequest()
	request.Marker, request.MaxItems = after, requests.NewInteger(pageSize)
	response := ram.CreateListRolesResponse()
	if err := a.do(ctx, "ram:ListRoles", "", request, response); err != nil {
		return nil, "", err
	}
	page := make([]cloud.Described, 0, len(response.Roles.Role))
	for _, role := range response.Roles.Role {
		page = append(page, cloud.Described{Name: role.RoleName, Description: role.Description})
	}
	return page, marker(response.IsTruncated, response.Marker), nil
}

// Policies lists a page of the account's custom policies.
func (a *inventoryAPI) Policies(ctx context.Context, after string) ([]cloud.Described, string, error) {
	request := ram.CreateListPoliciesRequest()
	request.PolicyType, request.Marker, request.MaxItems = customPolicy, after, requests.NewInteger(pageSize)
	response := ram.CreateListPoliciesResponse()
	if err := a.do(ctx, "ram:ListPolicies", "", request, response); err != nil {
		return nil, "", err
	}
	page := make([]cloud.Described, 0, len(response.Policies.Policy))
	for _, p := range response.Policies.Policy {
		page = append(page, cloud.Described{Name: p.PolicyName, Description: p.Description})
	}
	return page, marker(response.IsTruncated, response.Marker), nil
}

// marker of the next page. It counts only together with IsTruncated.
func marker(truncated bool, next string) string {
	if !truncated {
		return ""
	}
	return next
}
