package aliyun

import (
	"context"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"

	"github.com/uploadtenant/uploadtenant/cloud"
)

// PolicyTypes: policies that an account makes itself, and those of Alibaba Cloud.
const (
	customPolicy = "Custom"
	systemPolicy = "System"
)

// rotateStrategy makes RAM drop the oldest version that is not the default when all five are taken.
const rotateStrategy = "DeleteOldestNonDefaultVersionWhenLimitExceeded"

type identity struct{ *rpc }

// Caller asks STS who the credentials belong to. It needs no permission.
func (a *identity) Caller(ctx context.Context) (cloud.Caller, error) {
	response := sts.CreateGetCallerIdentityResponse()
	if err := a.do(ctx, "sts:GetCallerIdentity", "", sts.CreateGetCallerIdentityRequest(), response); err != nil {
		return cloud.Caller{}, err
	}
	return cloud.Caller{AccountID: response.AccountId, ARN: response.Arn}, nil
}

// AssumeRole starts a session of a role.
func (a *identity) AssumeRole(ctx context.Context, roleARN, sessionName string, duration time.Duration) (cloud.Session, error) {
	request := sts.CreateAssumeRoleRequest()
	request.RoleArn, request.RoleSessionName, request.DurationSeconds = roleARN, sessionName, seconds(duration)
	response := sts.CreateAssumeRoleResponse()
	if err := a.do(ctx, "sts:AssumeRole", roleARN, request, response); err != nil {
		return cloud.Session{}, err
	}
	c := response.Credentials
	expires, err := time.Parse(time.RFC3339, c.Expiration)
	if err != nil {
		return cloud.Session{}, &cloud.Error{Class: cloud.Retryable, Operation: "sts:AssumeRole", Resource: roleARN, Detail: "STS told no end of the session", Err: err}
	}
	return cloud.Session{
		StaticCredentials: cloud.StaticCredentials{AccessKeyID: c.AccessKeyId, AccessKeySecret: c.AccessKeySecret, SecurityToken: c.SecurityToken},
		Expires:           expires,
	}, nil
}

type roleAPI struct{ *rpc }

// Observe reads a role.
func (a *roleAPI) Observe(ctx context.Context, name string) (cloud.Role, bool, error) {
	request := ram.CreateGetRoleRequest()
	request.RoleName = name
	response := ram.CreateGetRoleResponse()
	if err := a.do(ctx, "ram:GetRole", name, request, response); err != nil {
		return cloud.Role{}, false, ignoreNotFound(err)
	}
	return cloud.Role{
		Name:               response.Role.RoleName,
		TrustDocument:      response.Role.AssumeRolePolicyDocument,
		Description:        response.Role.Description,
		MaxSessionDuration: time.Duration(response.Role.MaxSessionDuration) * time.Second,
	}, true, nil
}

// Create makes a role.
func (a *roleAPI) Create(ctx context.Context, role cloud.Role) error {
	request := ram.CreateCreateRoleRequest()
	request.RoleName = role.Name
	request.AssumeRolePolicyDocument = role.TrustDocument
	request.Description = role.Description
	request.MaxSessionDuration = seconds(role.MaxSessionDuration)
	return a.do(ctx, "ram:CreateRole", role.Name, request, ram.CreateCreateRoleResponse())
}

// Update changes the trust document, description and session duration of a role.
func (a *roleAPI) Update(ctx context.Context, role cloud.Role) error {
	request := ram.CreateUpdateRoleRequest()
	request.RoleName = role.Name
	request.NewAssumeRolePolicyDocument = role.TrustDocument
	request.NewDescription = role.Description
	request.NewMaxSessionDuration = seconds(role.MaxSessionDuration)
	return a.do(ctx, "ram:UpdateRole", role.Name, request, ram.CreateUpdateRoleResponse())
}

// Delete removes a role that has no policy attached. A missing role is no error.
func (a *roleAPI) Delete(ctx context.Context, name string) error {
	request := ram.CreateDeleteRoleRequest()
	request.RoleName = name
	return ignoreNotFound(a.do(ctx, "ram:DeleteRole", name, request, ram.CreateDeleteRoleResponse()))
}

type policyAPI struct{ *rpc }

// Observe reads a custom policy with its default version.
func (a *policyAPI) Observe(ctx context.Context, name string) (cloud.Policy, bool, error) {
	request := ram.CreateGetPolicyRequest()
	request.PolicyName, request.PolicyType = name, customPolicy
	response := ram.CreateGetPolicyResponse()
	if err := a.do(ctx, "ram:GetPolicy", name, request, response); err != nil {
		return cloud.Policy{}, false, ignoreNotFound(err)
	}
	document := response.DefaultPolicyVersion.PolicyDocument
	if document == "" {
		document = response.Policy.PolicyDocument
	}
	return cloud.Policy{
		Name:        response.Policy.PolicyName,
		Document:    document,
		Description: response.Policy.Description,
	}, true, nil
}

// Create makes a custom policy.
func (a *policyAPI) Create(ctx context.Context, p cloud.Policy) error {
	request := ram.CreateCreatePolicyRequest()
	request.PolicyName, request.PolicyDocument, request.Description = p.Name, p.Document, p.Description
	return a.do(ctx, "ram:CreatePolicy", p.Name, request, ram.CreateCreatePolicyResponse())
}

// SetDocument adds a default version.
func (a *policyAPI) SetDocument(ctx context.Context, name, document string) error {
	request := ram.CreateCreatePolicyVersionRequest()
	request.PolicyName, request.PolicyDocument = name, document
	request.SetAsDefault = requests.NewBoolean(true)
	request.RotateStrategy = rotateStrategy
	return a.do(ctx, "ram:CreatePolicyVersion", name, request, ram.CreateCreatePolicyVersionResponse())
}

// Delete removes a policy and its versions: RAM refuses a policy that has versions besides the default.
func (a *policyAPI) Delete(ctx context.Context, name string) error {
	list := ram.CreateListPolicyVersionsRequest()
	list.PolicyName, list.PolicyType = name, customPolicy
	versions := ram.CreateListPolicyVersionsResponse()
	if err := a.do(ctx, "ram:ListPolicyVersions", name, list, versions); err != nil {
		return ignoreNotFound(err)
	}
	for _, v := range versions.PolicyVersions.PolicyVersion {
		if v.IsDefaultVersion {
			continue
		}
		request := ram.CreateDeletePolicyVersionRequest()
		request.PolicyName, request.VersionId = name, v.VersionId
		err := a.do(ctx, "ram:DeletePolicyVersion", name, request, ram.CreateDeletePolicyVersionResponse())
		if err := ignoreNotFound(err); err != nil {
			return err
		}
	}
	request := ram.CreateDeletePolicyRequest()
	request.PolicyName = name
	return ignoreNotFound(a.do(ctx, "ram:DeletePolicy", name, request, ram.CreateDeletePolicyResponse()))
}

type attachmentAPI struct{ *rpc }

// List returns the policies of a role.
func (a *attachmentAPI) List(ctx context.Context, role string) ([]cloud.AttachedPolicy, error) {
	request := ram.CreateListPoliciesForRoleRequest()
	request.RoleName = role
	response := ram.CreateListPoliciesForRoleResponse()
	if err := a.do(ctx, "ram:ListPoliciesForRole", role, request, response); err != nil {
		return nil, ignoreNotFound(err)
	}
	var attached []cloud.AttachedPolicy
	for _, p := range response.Policies.Policy {
		attached = append(attached, cloud.AttachedPolicy{Name: p.PolicyName, System: p.PolicyType == systemPolicy})
	}
	return attached, nil
}

// Attach binds a custom policy to a role. Doing so twice is no error.
func (a *attachmentAPI) Attach(ctx context.Context, policy, role string) error {
	request := ram.CreateAttachPolicyToRoleRequest()
	request.PolicyName, request.PolicyType, request.RoleName = policy, customPolicy, role
	err := a.do(ctx, "ram:AttachPolicyToRole", role, request, ram.CreateAttachPolicyToRoleResponse())
	return ignoreCode(err, "EntityAlreadyExists.Role.Policy")
}

// Detach unbinds a policy from a role. A missing binding, policy or role is no error.
func (a *attachmentAPI) Detach(ctx context.Context, policy cloud.AttachedPolicy, role string) error {
	request := ram.CreateDetachPolicyFromRoleRequest()
	request.PolicyName, request.PolicyType, request.RoleName = policy.Name, customPolicy, role
	if policy.System {
		request.PolicyType = systemPolicy
	}
	return ignoreNotFound(a.do(ctx, "ram:DetachPolicyFromRole", role, request, ram.CreateDetachPolicyFromRoleResponse()))
}

func seconds(d time.Duration) requests.Integer { return requests.NewInteger(int(d / time.Second)) }
