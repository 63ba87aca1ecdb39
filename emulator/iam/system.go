package iam

import "time"

// systemPolicies are the policies that Alibaba Cloud provides, by name. Only those that matter here exist.
func systemPolicies() map[string]*policy {
	out := map[string]*policy{}
	since := time.Date(2015, 4, 28, 0, 0, 0, 0, time.UTC)
	preset := func(name, description, document string) {
		out[name] = &policy{
			Name: name, Type: typeSystem, Description: description, Default: "v1", Last: 1, Created: since, Updated: since,
			Versions: []policyVersion{{ID: "v1", Created: since, Document: document}},
		}
	}
	preset("AdministratorAccess", "Provides full access to all Alibaba Cloud services and resources.",
		`{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	preset("AliyunOSSFullAccess", "Provides full access to Object Storage Service via Management Console.",
		`{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":"*"}]}`)
	preset("AliyunOSSReadOnlyAccess", "Provides read-only access to Object Storage Service via Management Console.",
		`{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:Get*","oss:List*"],"Resource":"*"}]}`)
	preset("AliyunRAMFullAccess", "Provides full access to Resource Access Management via Management Console.",
		`{"Version":"1","Statement":[{"Effect":"Allow","Action":["ram:*","ims:*"],"Resource":"*"}]}`)
	preset("AliyunSTSAssumeRoleAccess", "Provides the permission to call the AssumeRole operation of STS.",
		`{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)
	return out
}

// policy finds a policy by type and name.
func (s *state) policy(kind, name string) *policy {
	if kind == typeSystem {
		return s.system[name]
	}
	return s.policies[name]
}

// document returns the text of a version, empty when there is none.
func (p *policy) document(version string) string {
	for _, v := range p.Versions {
		if v.ID == version {
			return v.Document
		}
	}
	return ""
}
