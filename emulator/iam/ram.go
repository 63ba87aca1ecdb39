package iam

import "strings"

// ramOperations is the API of RAM, Version 2015-05-01.
func ramOperations() map[string]operation {
	ops := map[string]operation{
		"CreateRole": {resources: onRole, run: createRole},
		"GetRole":    {resources: onRole, run: getRole},
		"UpdateRole": {resources: onRole, run: updateRole},
		"DeleteRole": {resources: onRole, run: deleteRole},
		"ListRoles":  {resources: onAll("role"), run: listRoles},

		"CreatePolicy":            {resources: onCustomPolicy, run: createPolicy},
		"GetPolicy":               {resources: onPolicy, run: getPolicy},
		"DeletePolicy":            {resources: onCustomPolicy, run: deletePolicy},
		"ListPolicies":            {resources: onAll("policy"), run: listPolicies},
		"UpdatePolicyDescription": {resources: onCustomPolicy, run: updatePolicyDescription},
		"CreatePolicyVersion":     {resources: onCustomPolicy, run: createPolicyVersion},
		"GetPolicyVersion":        {resources: onPolicy, run: getPolicyVersion},
		"DeletePolicyVersion":     {resources: onCustomPolicy, run: deletePolicyVersion},
		"SetDefaultPolicyVersion": {resources: onCustomPolicy, run: setDefaultPolicyVersion},
		"ListPolicyVersions":      {resources: onPolicy, run: listPolicyVersions},

		"AttachPolicyToRole":    {resources: both(onRole, onPolicy), run: attachPolicyToRole},
		"DetachPolicyFromRole":  {resources: both(onRole, onPolicy), run: detachPolicyFromRole},
		"ListPoliciesForRole":   {resources: onRole, run: listPoliciesForRole},
		"AttachPolicyToUser":    {resources: both(onUser, onPolicy), run: attachPolicyToUser},
		"DetachPolicyFromUser":  {resources: both(onUser, onPolicy), run: detachPolicyFromUser},
		"ListPoliciesForUser":   {resources: onUser, run: listPoliciesForUser},
		"ListEntitiesForPolicy": {resources: onPolicy, run: listEntitiesForPolicy},

		"CreateUser":      {resources: onUser, run: createUser},
		"GetUser":         {resources: onUser, run: getUser},
		"UpdateUser":      {resources: onUser, run: updateUser},
		"DeleteUser":      {resources: onUser, run: deleteUser},
		"ListUsers":       {resources: onAll("user"), run: listUsers},
		"CreateAccessKey": {resources: onUser, run: createAccessKey},
		"UpdateAccessKey": {resources: onUser, run: updateAccessKey},
		"DeleteAccessKey": {resources: onUser, run: deleteAccessKey},
		"ListAccessKeys":  {resources: onUser, run: listAccessKeys},

		"TagResources":     {resources: onTagged, run: tagResources},
		"UntagResources":   {resources: onTagged, run: untagResources},
		"ListTagResources": {resources: onTagged, run: listTagResources},
	}
	for name, op := range ops {
		op.action = "ram:" + name
		ops[name] = op
	}
	return ops
}

func (c *call) arn(relative string) string {
	return "acs:ram::" + c.svc.opts.AccountID + ":" + relative
}

func onRole(c *call) []string { return []string{c.arn("role/" + c.params["RoleName"])} }

// onUser falls back to the caller: a user who names nobody means itself.
func onUser(c *call) []string { return []string{c.arn("user/" + c.userName())} }

func (c *call) userName() string {
	if name := c.params["UserName"]; name != "" || c.caller.Kind != KindUser {
		return name
	}
	return c.caller.Name
}

func onCustomPolicy(c *call) []string { return []string{c.arn("policy/" + c.params["PolicyName"])} }

func onPolicy(c *call) []string {
	if c.params["PolicyType"] == typeSystem {
		return []string{"acs:ram::system:policy/" + c.params["PolicyName"]}
	}
	return onCustomPolicy(c)
}

func onAll(kind string) func(*call) []string {
	return func(c *call) []string { return []string{c.arn(kind + "/*")} }
}

func both(a, b func(*call) []string) func(*call) []string {
	return func(c *call) []string { return append(a(c), b(c)...) }
}

func onTagged(c *call) []string {
	kind := strings.ToLower(c.params["ResourceType"])
	names := c.list("ResourceNames.")
	if len(names) == 0 {
		return []string{c.arn(kind + "/*")}
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = c.arn(kind + "/" + n)
	}
	return out
}
