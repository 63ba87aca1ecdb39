package aliyun

import (
	"context"
	"net/http"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
)

// rpc calls one RPC endpoint, such as RAM's.
//
// The SDK's client ignores contexts and writes to its own fields during a call, so it can neither be
// cancelled nor shared between goroutines. rpc therefore makes a client per call, which costs a few small
// allocations, and gives it a transport that carries the call's context over the shared connections.
type rpc struct {
	opts         Options
	region       string
	scheme, host string
	credentials  credentialSource
}

func newRPC(opts Options, region, endpoint string, creds credentialSource) (*rpc, error) {
	scheme, host, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	return &rpc{opts: opts, region: region, scheme: scheme, host: host, credentials: creds}, nil
}

// do sends one request, bounded by the call timeout. op names the permission, resource what it is about.
func (r *rpc) do(ctx context.Context, op, resource string, request requests.AcsRequest, response responses.AcsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.CallTimeout)
	defer cancel()
	cred, err := r.credentials.credential(ctx)
	if err != nil {
		return err
	}
	client, err := r.client(ctx, cred)
	if err != nil {
		return classifyRPC(op, resource, err)
	}
	request.SetDomain(r.host)
	request.SetScheme(r.scheme)
	if err := client.DoAction(request, response); err != nil {
		return classifyRPC(op, resource, err)
	}
	return nil
}

func (r *rpc) client(ctx context.Context, cred credential) (*sdk.Client, error) {
	config := sdk.NewConfig().WithAutoRetry(false).WithScheme(r.scheme).WithTimeout(r.opts.CallTimeout)
	config.Transport = contextTransport{ctx: ctx, base: r.opts.Transport}
	var key auth.Credential = credentials.NewAccessKeyCredential(cred.id, cred.secret)
	if cred.token != "" {
		key = credentials.NewStsTokenCredential(cred.id, cred.secret, cred.token)
	}
	return sdk.NewClientWithOptions(r.region, config, key)
}

// contextTransport carries requests of a client that knows no context.
type contextTransport struct {
	ctx  context.Context
	base http.RoundTripper
}

// RoundTrip sends the request with the call's context. The request keeps its own deadline too.
func (t contextTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	return t.base.RoundTrip(request.WithContext(t.ctx))
}
