package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/google/go-cmp/cmp"
)

func TestRoleLifeThroughTheOfficialSDK(t *testing.T) {
	f := start(t)
	create := ram.CreateCreateRoleRequest()
	create.RoleName, create.AssumeRolePolicyDocument = "ut-family-album", trustAll
	create.Description, create.MaxSessionDuration = "uploads & callbacks: 家庭相册 ~*'()", requests.NewInteger(7200)
	made, err := f.ram.CreateRole(create)
	f.must(err)
	if made.RequestId == "" || made.Role.RoleId == "" || made.Role.Arn != "acs:ram::"+account+":role/ut-family-album" {
		t.Fatalf("CreateRole answered %+v", made.Role)
	}

	get := ram.CreateGetRoleRequest()
	get.RoleName = "ut-family-album"
	got, err := f.ram.GetRole(get)
	f.must(err)
	if diff := cmp.Diff(made.Role, got.Role); diff != "" {
		t.Errorf("GetRole differs from CreateRole (-created +read):\n%s", diff)
	}
	if got.Role.Description != create.Description || got.Role.MaxSessionDuration != 7200 || got.Role.AssumeRolePolicyDocument != trustAll {
		t.Errorf("GetRole answered %+v", got.Role)
	}

	update := ram.CreateUpdateRoleRequest()
	update.RoleName, update.NewDescription, update.NewMaxSessionDuration = "ut-family-album", "new", requests.NewInteger(43200)
	_, err = f.ram.UpdateRole(update)
	f.must(err)
	got, err = f.ram.GetRole(get)
	f.must(err)
	if got.Role.Description != "new" || got.Role.MaxSessionDuration != 43200 || got.Role.AssumeRolePolicyDocument != trustAll {
		t.Errorf("after UpdateRole: %+v", got.Role)
	}

	_, err = f.createPolicy("ut-family-album", allowPuts)
	f.must(err)
	f.must(f.attach("ut-family-album", "Custom", "ut-family-album"))
	f.must(f.attach("ut-family-album", "System", "AliyunOSSReadOnlyAccess"))
	list := ram.CreateListPoliciesForRoleRequest()
	list.RoleName = "ut-family-album"
	attached, err := f.ram.ListPoliciesForRole(list)
	f.must(err)
	var names []string
	for _, p := range attached.Policies.Policy {
		names = append(names, p.PolicyType+"/"+p.PolicyName)
	}
	if diff := cmp.Diff([]string{"Custom/ut-family-album", "System/AliyunOSSReadOnlyAccess"}, names); diff != "" {
		t.Errorf("ListPoliciesForRole (-want +got):\n%s", diff)
	}
	entities := ram.CreateListEntitiesForPolicyRequest()
	entities.PolicyType, entities.PolicyName = "Custom", "ut-family-album"
	who, err := f.ram.ListEntitiesForPolicy(entities)
	f.must(err)
	if len(who.Roles.Role) != 1 || who.Roles.Role[0].RoleName != "ut-family-album" || len(who.Users.User) != 0 {
		t.Errorf("ListEntitiesForPolicy answered %+v", who)
	}
	getPolicy := ram.CreateGetPolicyRequest()
	getPolicy.PolicyType, getPolicy.PolicyName = "Custom", "ut-family-album"
	policy, err := f.ram.GetPolicy(getPolicy)
	f.must(err)
	if policy.Policy.AttachmentCount != 1 || policy.DefaultPolicyVersion.PolicyDocument != allowPuts || !policy.DefaultPolicyVersion.IsDefaultVersion {
		t.Errorf("GetPolicy answered %+v", policy)
	}

	del := ram.CreateDeleteRoleRequest()
	del.RoleName = "ut-family-album"
	_, err = f.ram.DeleteRole(del)
	if got := code(err); got != "409 DeleteConflict.Role.Policy" {
		t.Errorf("DeleteRole with attachments: %s", got)
	}
	delPolicy := ram.CreateDeletePolicyRequest()
	delPolicy.PolicyName = "ut-family-album"
	_, err = f.ram.DeletePolicy(delPolicy)
	if got := code(err); got != "409 DeleteConflict.Policy.Role" {
		t.Errorf("DeletePolicy while attached: %s", got)
	}
	for kind, name := range map[string]string{"Custom": "ut-family-album", "System": "AliyunOSSReadOnlyAccess"} {
		detach := ram.CreateDetachPolicyFromRoleRequest()
		detach.RoleName, detach.PolicyType, detach.PolicyName = "ut-family-album", kind, name
		_, err = f.ram.DetachPolicyFromRole(detach)
		f.must(err)
		_, err = f.ram.DetachPolicyFromRole(detach)
		if got := code(err); got != "404 EntityNotExist.Role.Policy" {
			t.Errorf("DetachPolicyFromRole again: %s", got)
		}
	}
	_, err = f.ram.DeleteRole(del)
	f.must(err)
	_, err = f.ram.DeletePolicy(delPolicy)
	f.must(err)
	_, err = f.ram.GetRole(get)
	if got := code(err); got != "404 EntityNotExist.Role" {
		t.Errorf("GetRole after DeleteRole: %s", got)
	}
}

func TestRefusalsOfRAM(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	padded := strings.Replace(allowPuts, `"Version"`, strings.Repeat(" ", 6144)+`"Version"`, 1)
	tests := map[string]struct {
		do   func(*fixture) error
		want string
	}{
		"role twice": {func(f *fixture) error {
			_, err := f.createRole("r", trustAll)
			f.must(err)
			_, err = f.createRole("r", trustAll)
			return err
		}, "409 EntityAlreadyExists.Role"},
		"role name with a slash":    {func(f *fixture) error { _, err := f.createRole("a/b", trustAll); return err }, "400 InvalidParameter.RoleName.InvalidChars"},
		"role name with underscore": {func(f *fixture) error { _, err := f.createRole("a_b", trustAll); return err }, "400 InvalidParameter.RoleName.InvalidChars"},
		"role name too long":        {func(f *fixture) error { _, err := f.createRole(long(65), trustAll); return err }, "400 InvalidParameter.RoleName.Length"},
		"role without a name":       {func(f *fixture) error { _, err := f.createRole("", trustAll); return err }, "400 MissingRoleName"},
		"role without trust":        {func(f *fixture) error { _, err := f.createRole("r", ""); return err }, "400 MissingAssumeRolePolicyDocument"},
		"trust without a principal": {func(f *fixture) error { _, err := f.createRole("r", allowPuts); return err }, "400 MalformedPolicyDocument"},
		"trust that is not JSON":    {func(f *fixture) error { _, err := f.createRole("r", "{"); return err }, "400 MalformedPolicyDocument"},
		"description too long": {func(f *fixture) error {
			req := ram.CreateCreateRoleRequest()
			req.RoleName, req.AssumeRolePolicyDocument, req.Description = "r", trustAll, long(1025)
			_, err := f.ram.CreateRole(req)
			return err
		}, "400 InvalidParameter.Description.Length"},
		"session too short": {func(f *fixture) error {
			req := ram.CreateCreateRoleRequest()
			req.RoleName, req.AssumeRolePolicyDocument, req.MaxSessionDuration = "r", trustAll, requests.NewInteger(3599)
			_, err := f.ram.CreateRole(req)
			return err
		}, "400 InvalidParameter.MaxSessionDuration"},
		"session too long": {func(f *fixture) error {
			req := ram.CreateCreateRoleRequest()
			req.RoleName, req.AssumeRolePolicyDocument, req.MaxSessionDuration = "r", trustAll, requests.NewInteger(43201)
			_, err := f.ram.CreateRole(req)
			return err
		}, "400 InvalidParameter.MaxSessionDuration"},
		"policy twice": {func(f *fixture) error {
			_, err := f.createPolicy("p", allowPuts)
			f.must(err)
			_, err = f.createPolicy("p", allowPuts)
			return err
		}, "409 EntityAlreadyExists.Policy"},
		"policy named like a system policy": {func(f *fixture) error { _, err := f.createPolicy("AdministratorAccess", allowPuts); return err }, "409 EntityAlreadyExists.Policy"},
		"policy name with a dot":            {func(f *fixture) error { _, err := f.createPolicy("a.b", allowPuts); return err }, "400 InvalidParameter.PolicyName.InvalidChars"},
		"policy too long":                   {func(f *fixture) error { _, err := f.createPolicy("p", padded); return err }, "400 InvalidParameter.PolicyDocument.Length"},
		"policy with a principal":           {func(f *fixture) error { _, err := f.createPolicy("p", trustAll); return err }, "400 MalformedPolicyDocument"},
		"attach to no role":                 {func(f *fixture) error { return f.attach("nobody", "System", "AliyunOSSFullAccess") }, "404 EntityNotExist.Role"},
		"attach no policy": {func(f *fixture) error {
			_, err := f.createRole("r", trustAll)
			f.must(err)
			return f.attach("r", "Custom", "none")
		}, "404 EntityNotExist.Policy"},
		"attach twice": {func(f *fixture) error {
			_, err := f.createRole("r", trustAll)
			f.must(err)
			f.must(f.attach("r", "System", "AliyunOSSFullAccess"))
			return f.attach("r", "System", "AliyunOSSFullAccess")
		}, "409 EntityAlreadyExists.Role.Policy"},
		"attach an eleventh policy": {func(f *fixture) error {
			_, err := f.createRole("r", trustAll)
			f.must(err)
			for i := range 11 {
				name := fmt.Sprintf("p%d", i)
				_, err := f.createPolicy(name, allowPuts)
				f.must(err)
				if err := f.attach("r", "Custom", name); err != nil || i == 10 {
					return err
				}
			}
			return nil
		}, "409 LimitExceeded.Role.Policy"},
		"attach with a wrong type": {func(f *fixture) error {
			_, err := f.createRole("r", trustAll)
			f.must(err)
			return f.attach("r", "custom", "p")
		}, "400 InvalidParameter.PolicyType"},
		"delete no policy": {func(f *fixture) error {
			req := ram.CreateDeletePolicyRequest()
			req.PolicyName = "none"
			_, err := f.ram.DeletePolicy(req)
			return err
		}, "404 EntityNotExist.Policy"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := code(tt.do(start(t))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPolicyVersions(t *testing.T) {
	f := start(t)
	_, err := f.createPolicy("p", allowPuts)
	f.must(err)
	add := func(rotate string, asDefault bool) (string, error) {
		req := ram.CreateCreatePolicyVersionRequest()
		req.PolicyName, req.PolicyDocument, req.RotateStrategy = "p", allowPuts, rotate
		req.SetAsDefault = requests.NewBoolean(asDefault)
		resp, err := f.ram.CreatePolicyVersion(req)
		if err != nil {
			return "", err
		}
		return resp.PolicyVersion.VersionId, nil
	}
	for i := 2; i <= 5; i++ {
		id, err := add("", i == 3)
		f.must(err)
		if want := fmt.Sprintf("v%d", i); id != want {
			t.Fatalf("version %s, want %s", id, want)
		}
	}
	_, err = add("", false)
	if got := code(err); got != "409 LimitExceeded.Policy.Version" {
		t.Errorf("sixth version: %s", got)
	}
	id, err := add("DeleteOldestNonDefaultVersionWhenLimitExceeded", true)
	f.must(err)
	if id != "v6" {
		t.Errorf("rotated version is %s, want v6", id)
	}
	list := ram.CreateListPolicyVersionsRequest()
	list.PolicyType, list.PolicyName = "Custom", "p"
	versions, err := f.ram.ListPolicyVersions(list)
	f.must(err)
	var got []string
	for _, v := range versions.PolicyVersions.PolicyVersion {
		got = append(got, fmt.Sprintf("%s %t", v.VersionId, v.IsDefaultVersion))
	}
	// v3 was the default, so v1 was the oldest that could go.
	if diff := cmp.Diff([]string{"v2 false", "v3 false", "v4 false", "v5 false", "v6 true"}, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}

	del := ram.CreateDeletePolicyVersionRequest()
	del.PolicyName, del.VersionId = "p", "v6"
	_, err = f.ram.DeletePolicyVersion(del)
	if got := code(err); got != "409 DeleteConflict.Policy.Version.Default" {
		t.Errorf("delete the default version: %s", got)
	}
	set := ram.CreateSetDefaultPolicyVersionRequest()
	set.PolicyName, set.VersionId = "p", "v9"
	_, err = f.ram.SetDefaultPolicyVersion(set)
	if got := code(err); got != "404 EntityNotExist.Policy.Version" {
		t.Errorf("default to no version: %s", got)
	}
	set.VersionId = "v2"
	_, err = f.ram.SetDefaultPolicyVersion(set)
	f.must(err)
	_, err = f.ram.DeletePolicyVersion(del)
	f.must(err)

	delPolicy := ram.CreateDeletePolicyRequest()
	delPolicy.PolicyName = "p"
	_, err = f.ram.DeletePolicy(delPolicy)
	if got := code(err); got != "409 DeleteConflict.Policy.Version" {
		t.Errorf("delete a policy with versions: %s", got)
	}
	// The parameter is missing in this SDK, as are tags: CommonRequest carries both.
	_, err = f.common("2015-05-01", "DeletePolicy", map[string]string{"PolicyName": "p", "CascadingDelete": "true"})
	f.must(err)
}

func (f *fixture) common(version, action string, params map[string]string) (string, error) {
	req := requests.NewCommonRequest()
	req.Method, req.Scheme, req.Domain, req.Version, req.ApiName = "POST", "HTTP", f.host, version, action
	for k, v := range params {
		req.QueryParams[k] = v
	}
	resp, err := f.ram.ProcessCommonRequest(req)
	if err != nil {
		return "", err
	}
	return resp.GetHttpContentString(), nil
}

func TestPagesListEveryRoleOnce(t *testing.T) {
	f := start(t)
	want := map[string]int{}
	for i := range 25 {
		name := fmt.Sprintf("role-%02d", i)
		_, err := f.createRole(name, trustAll)
		f.must(err)
		want[name] = 1
	}
	got := map[string]int{}
	req := ram.CreateListRolesRequest()
	req.MaxItems = requests.NewInteger(7)
	for pages := 1; ; pages++ {
		resp, err := f.ram.ListRoles(req)
		f.must(err)
		for _, r := range resp.Roles.Role {
			got[r.RoleName]++
		}
		if !resp.IsTruncated {
			if pages != 4 {
				t.Errorf("%d pages, want 4", pages)
			}
			break
		}
		req.Marker = resp.Marker
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	req.MaxItems = requests.NewInteger(1001)
	_, err := f.ram.ListRoles(req)
	if got := code(err); got != "400 InvalidParameter.MaxItems" {
		t.Errorf("MaxItems 1001: %s", got)
	}
}

func TestTags(t *testing.T) {
	f := start(t)
	_, err := f.createRole("r", trustAll)
	f.must(err)
	_, err = f.common("2015-05-01", "TagResources", map[string]string{"ResourceType": "role", "ResourceNames.1": "r",
		"Tag.1.Key": "uploadtenant/owner", "Tag.1.Value": "uid-1", "Tag.2.Key": "team", "Tag.2.Value": "family"})
	f.must(err)
	_, err = f.common("2015-05-01", "UntagResources", map[string]string{"ResourceType": "role", "ResourceNames.1": "r", "TagKeys.1": "team"})
	f.must(err)
	body, err := f.common("2015-05-01", "ListTagResources", map[string]string{"ResourceType": "role", "ResourceNames.1": "r"})
	f.must(err)
	if !strings.Contains(body, `"TagKey":"uploadtenant/owner","TagValue":"uid-1"`) || strings.Contains(body, `"team"`) {
		t.Errorf("ListTagResources answered %s", body)
	}
	for name, tt := range map[string]struct {
		params map[string]string
		want   string
	}{
		"no resource":   {map[string]string{"ResourceType": "role", "Tag.1.Key": "a"}, "400 MissingResourceNames"},
		"unknown role":  {map[string]string{"ResourceType": "role", "ResourceNames.1": "x", "Tag.1.Key": "a"}, "404 EntityNotExist.Role"},
		"reserved key":  {map[string]string{"ResourceType": "role", "ResourceNames.1": "r", "Tag.1.Key": "acs:a"}, "400 InvalidParameter.Tag.Key"},
		"key too long":  {map[string]string{"ResourceType": "role", "ResourceNames.1": "r", "Tag.1.Key": strings.Repeat("k", 129)}, "400 InvalidParameter.Tag.Key"},
		"unknown type":  {map[string]string{"ResourceType": "bucket", "ResourceNames.1": "r", "Tag.1.Key": "a"}, "400 InvalidParameter.ResourceType"},
		"without a tag": {map[string]string{"ResourceType": "role", "ResourceNames.1": "r"}, "400 MissingTag"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.common("2015-05-01", "TagResources", tt.params)
			if got := code(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
