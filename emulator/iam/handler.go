package iam

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/iam/rpc"
)

// call is one RPC call whose caller is known and allowed to make it.
type call struct {
	svc    *Service
	ctx    context.Context
	params map[string]string
	caller Principal
	now    time.Time
}

// operation is one API operation.
type operation struct {
	// action is its name in policies.
	action string
	// resources lists what the caller must be allowed to act on; all of them.
	resources func(c *call) []string
	run       func(c *call) (any, *rpc.Error)
	// unsigned operations authenticate by what is in their parameters, or not at all.
	unsigned bool
	// anyone may call the operation without a policy that allows it.
	anyone bool
}

// operations lists every operation by API version and name.
func operations() map[string]map[string]operation {
	return map[string]map[string]operation{
		"2015-05-01": ramOperations(),
		"2015-04-01": stsOperations(),
		"2019-08-15": imsOperations(),
	}
}

// Handler serves the RPC protocol of RAM, STS and IMS, told apart by the Version and Action parameters.
func (s *Service) Handler() http.Handler {
	table := operations()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(table, w, r)
	})
}

func (s *Service) serve(table map[string]map[string]operation, w http.ResponseWriter, r *http.Request) {
	log := &Call{RequestID: s.newRequestID(), Start: s.opts.Clock(), Status: http.StatusOK}
	if s.opts.Hooks.After != nil {
		defer func() { s.opts.Hooks.After(log, r) }()
	}
	req, refused := rpc.Parse(r)
	var result any
	if refused == nil {
		result, w, refused = s.perform(table, log, w, req)
	}
	if refused != nil {
		log.Status, log.Code = refused.Status, refused.Code
		s.opts.Logger.Info("rpc", "operation", log.Operation, "status", log.Status, "code", log.Code,
			"caller", log.Caller.ARN(), "requestId", log.RequestID)
		rpc.Refuse(w, req, log.RequestID, refused)
		return
	}
	s.opts.Logger.Info("rpc", "operation", log.Operation, "status", log.Status,
		"caller", log.Caller.ARN(), "requestId", log.RequestID)
	rpc.Answer(w, req, log.RequestID, log.Operation, result)
}

// perform finds the operation, lets faults have their way and runs it. The writer it returns is the one to answer with.
func (s *Service) perform(table map[string]map[string]operation, log *Call, w http.ResponseWriter, req *rpc.Request) (any, http.ResponseWriter, *rpc.Error) {
	op, refused := find(table, req)
	if refused != nil {
		return nil, w, refused
	}
	log.Operation, log.Resource = req.Action(), resourceName(req.Params)
	if s.opts.Hooks.Before != nil {
		if w, refused = s.opts.Hooks.Before(log, w, req.HTTP); refused != nil {
			return nil, w, refused
		}
	}
	result, refused := s.do(op, log, req)
	return result, w, refused
}

// resourceName picks the name that the log shows.
func resourceName(params map[string]string) string {
	for _, name := range []string{"RoleName", "RoleArn", "PolicyName", "UserName", "OIDCProviderName", "ResourceNames.1"} {
		if v := params[name]; v != "" {
			return v
		}
	}
	return ""
}

func find(table map[string]map[string]operation, req *rpc.Request) (operation, *rpc.Error) {
	if req.Action() == "" {
		return operation{}, rpc.Missing("Action")
	}
	if req.Version() == "" {
		return operation{}, rpc.Missing("Version")
	}
	api, ok := table[req.Version()]
	if !ok {
		return operation{}, &rpc.Error{Status: 400, Code: "InvalidVersion", Message: "Specified parameter Version is not valid."}
	}
	op, ok := api[req.Action()]
	if !ok {
		return operation{}, &rpc.Error{Status: 404, Code: "InvalidAction.NotFound",
			Message: "Specified api is not found, please check your url and method."}
	}
	return op, nil
}

func (s *Service) do(op operation, log *Call, req *rpc.Request) (any, *rpc.Error) {
	c := &call{svc: s, ctx: req.HTTP.Context(), params: req.Params, now: s.opts.Clock()}
	if !op.unsigned {
		var refused *rpc.Error
		if c.caller, refused = s.authenticate(req, c.now); refused != nil {
			return nil, refused
		}
		log.Caller = c.caller
		if refused = s.permit(c, op, req.HTTP); refused != nil {
			return nil, refused
		}
	}
	return op.run(c)
}

// authenticate finds out who signed the request.
func (s *Service) authenticate(req *rpc.Request, now time.Time) (Principal, *rpc.Error) {
	if refused := req.CheckForm(now); refused != nil {
		return Principal{}, refused
	}
	cred, ok := s.Credential(req.AccessKeyID())
	if !ok {
		return Principal{}, &rpc.Error{Status: 404, Code: "InvalidAccessKeyId.NotFound", Message: "Specified access key is not found."}
	}
	if cred.Inactive {
		return Principal{}, &rpc.Error{Status: 400, Code: "InvalidAccessKeyId.Inactive", Message: "Specified access key is disabled."}
	}
	switch token := req.SecurityToken(); {
	case cred.SecurityToken == "" && token == "":
	case token == "":
		return Principal{}, rpc.Missing("SecurityToken")
	case token != cred.SecurityToken:
		return Principal{}, &rpc.Error{Status: 400, Code: "InvalidSecurityToken.MismatchWithAccessKey",
			Message: "Specified SecurityToken mismatch with the AccessKey."}
	case !now.Before(cred.Expires):
		return Principal{}, &rpc.Error{Status: 400, Code: "InvalidSecurityToken.Expired", Message: "Specified SecurityToken is expired."}
	}
	return cred.Principal, s.verifier.Check(req, cred.Secret, now)
}

// permit decides whether the caller may make the call.
func (s *Service) permit(c *call, op operation, r *http.Request) *rpc.Error {
	if op.anyone {
		return nil
	}
	for _, resource := range op.resources(c) {
		d := s.Authorize(Request{Principal: c.caller, Action: op.action, Resource: resource, Context: requestContext(r)})
		if !d.Allowed {
			return noPermission(c.caller, op.action, d)
		}
	}
	return nil
}

func noPermission(caller Principal, action string, d Decision) *rpc.Error {
	kind := map[Kind]string{KindRoot: "Account", KindUser: "SubUser", KindAssumedRole: "AssumedRoleUser"}[caller.Kind]
	display := caller.ID
	if caller.Kind == KindAssumedRole {
		display = caller.Name + ":" + caller.Session
	}
	denial := "ImplicitDeny"
	if d.ExplicitDeny {
		denial = "ExplicitDeny"
	}
	return &rpc.Error{Status: 403, Code: "NoPermission",
		Message: "You are not authorized to do this action. You should be authorized by RAM.",
		AccessDenied: &rpc.AccessDeniedDetail{
			AuthAction: action, AuthPrincipalDisplayName: display, AuthPrincipalOwnerId: caller.AccountID,
			AuthPrincipalType: kind, NoPermissionType: denial, PolicyType: "AccountLevelIdentityBasedPolicy",
		}}
}

// requestContext is what a request tells about itself in terms of condition keys.
func requestContext(r *http.Request) map[string][]string {
	ctx := map[string][]string{"acs:SecureTransport": {"false"}}
	if r.TLS != nil {
		ctx["acs:SecureTransport"] = []string{"true"}
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		ctx["acs:SourceIp"] = []string{host}
	}
	if ua := r.UserAgent(); ua != "" {
		ctx["acs:UserAgent"] = []string{ua}
	}
	return ctx
}

// need returns the refusal for the first of the parameters that is missing.
func (c *call) need(names ...string) *rpc.Error {
	for _, name := range names {
		if c.params[name] == "" {
			return rpc.Missing(name)
		}
	}
	return nil
}
