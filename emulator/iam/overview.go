package iam

import (
	"sort"
	"time"
)

// Overview is what the account holds, for people to look at. It has no secrets.
type Overview struct {
	AccountID string             `json:"accountId"`
	Roles     []RoleOverview     `json:"roles"`
	Policies  []PolicyOverview   `json:"policies"`
	Users     []UserOverview     `json:"users"`
	Providers []ProviderOverview `json:"oidcProviders"`
	// Sessions counts the STS credentials that are valid now.
	Sessions int `json:"sessions"`
}

// RoleOverview is a role with the names of its policies.
type RoleOverview struct {
	Name, ARN, Description string
	Trust                  string
	MaxSessionSeconds      int
	Created                time.Time
	Policies               []string
	Tags                   map[string]string
}

// PolicyOverview is a custom policy with the text of its default version.
type PolicyOverview struct {
	Name, Description, DefaultVersion, Document string
	Versions, Attachments                       int
	Updated                                     time.Time
}

// UserOverview is a user with the names of its policies.
type UserOverview struct {
	Name, ID string
	Keys     int
	Policies []string
}

// ProviderOverview is an OIDC provider.
type ProviderOverview struct {
	Name, ARN, Issuer string
	ClientIDs         []string
}

// Overview returns what readers see now, sorted by name.
func (s *Service) Overview() Overview {
	now := s.opts.Clock()
	out := Overview{AccountID: s.opts.AccountID, Roles: []RoleOverview{}, Policies: []PolicyOverview{}, Users: []UserOverview{}, Providers: []ProviderOverview{}}
	arn := "acs:ram::" + s.opts.AccountID + ":"
	s.read(func(st *state) {
		for _, r := range st.roles {
			out.Roles = append(out.Roles, RoleOverview{Name: r.Name, ARN: arn + "role/" + r.Name, Description: r.Description, Trust: r.Trust,
				MaxSessionSeconds: r.MaxSession, Created: r.Created, Policies: attachedNames(r.Attached), Tags: tagMap(r.Tags)})
		}
		for _, p := range st.policies {
			out.Policies = append(out.Policies, PolicyOverview{Name: p.Name, Description: p.Description, DefaultVersion: p.Default,
				Document: p.document(p.Default), Versions: len(p.Versions), Attachments: *st.attachmentCount(p), Updated: p.Updated})
		}
		for _, u := range st.users {
			out.Users = append(out.Users, UserOverview{Name: u.Name, ID: u.ID, Keys: st.keyCount(u.Name), Policies: attachedNames(u.Attached)})
		}
		for _, p := range st.providers {
			out.Providers = append(out.Providers, ProviderOverview{Name: p.Name, ARN: arn + "oidc-provider/" + p.Name, Issuer: p.IssuerURL, ClientIDs: p.ClientIDs})
		}
		for _, v := range st.sessions {
			if now.Before(v.Expires) {
				out.Sessions++
			}
		}
	})
	sort.Slice(out.Roles, func(i, j int) bool { return out.Roles[i].Name < out.Roles[j].Name })
	sort.Slice(out.Policies, func(i, j int) bool { return out.Policies[i].Name < out.Policies[j].Name })
	sort.Slice(out.Users, func(i, j int) bool { return out.Users[i].Name < out.Users[j].Name })
	sort.Slice(out.Providers, func(i, j int) bool { return out.Providers[i].Name < out.Providers[j].Name })
	return out
}

// keyCount counts the keys of a user. The one that the emulator was started with is not part of the state.
func (s *state) keyCount(userName string) int {
	n := len(s.keysOf(userName))
	if userName == AdminUser {
		n++
	}
	return n
}

func attachedNames(list []attachment) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.Name
	}
	return out
}

func tagMap(tags []tag) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}
