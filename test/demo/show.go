package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
)

// Record is what the signer keeps of an upload.
type Record struct {
	ID          string         `json:"id"`
	Key         string         `json:"key"`
	Name        string         `json:"name"`
	Size        int            `json:"size"`
	ContentType string         `json:"contentType"`
	MD5         string         `json:"md5"`
	Status      string         `json:"status"`
	CreatedAt   time.Time      `json:"createdAt"`
	Metadata    map[string]any `json:"metadata"`
}

// Event is one delivery that the application got.
type Event struct {
	ID, Timestamp, Signature, Problem string

	Verified bool
	Body     struct {
		Type string
		Data map[string]any
	}
}

// Records lists what the signer knows of the user.
func (d *Demo) Records(ctx context.Context) ([]Record, error) {
	var answer struct{ Items []Record }
	err := d.Signer(ctx, http.MethodGet, "/v1/uploads?limit=100", nil, http.StatusOK, &answer)
	return answer.Items, err
}

func (d *Demo) showRecords(ctx context.Context) error {
	d.say("GET %s/v1/uploads", SignerURL)
	records, err := d.Records(ctx)
	if err != nil {
		return err
	}
	for _, u := range d.uploads {
		i := slices.IndexFunc(records, func(r Record) bool { return r.ID == u.ID })
		if i < 0 {
			return fmt.Errorf("the upload %s of %s was answered with 200 but is not recorded", u.ID, u.Name)
		}
		r := records[i]
		if r.Key != u.Key || r.Size != u.Size || r.ContentType != u.ContentType || r.MD5 != u.MD5 {
			return fmt.Errorf("the record of %s says %s, %d bytes, %s, MD5 %s; uploaded were %s, %d bytes, %s, MD5 %s",
				u.Name, r.Key, r.Size, r.ContentType, r.MD5, u.Key, u.Size, u.ContentType, u.MD5)
		}
		d.say("%s", pretty(r))
	}
	return nil
}

// Events lists what the application got.
func (d *Demo) Events(ctx context.Context) ([]Event, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, appURL+"/events", nil)
	if err != nil {
		return nil, err
	}
	status, body, err := d.send(req)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("GET %s/events answered %d", appURL, status)
	}
	var answer struct{ Items []Event }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the events: %w", err)
	}
	return answer.Items, nil
}

// EventOf waits for the delivery of an upload's event.
func (d *Demo) EventOf(ctx context.Context, id string) (Event, error) {
	var found Event
	err := d.until(ctx, func() (bool, string, error) {
		events, err := d.Events(ctx)
		state := "no event of upload " + id + " has arrived"
		if err != nil {
			state = err.Error()
		}
		for _, e := range events {
			if e.ID == id {
				found = e
				return true, "", nil
			}
		}
		return false, state, nil
	})
	return found, err
}

func (d *Demo) showEvents(ctx context.Context) error {
	for _, u := range d.uploads {
		e, err := d.EventOf(ctx, u.ID)
		if err != nil {
			return err
		}
		if !e.Verified {
			return fmt.Errorf("the signature of the event of %s does not verify: %s", u.Name, e.Problem)
		}
		d.say("%s at %s, Standard Webhooks signature verified by the application", e.Body.Type, eventsURL)
		d.say("webhook-id: %s\nwebhook-timestamp: %s\n%s", e.ID, e.Timestamp, pretty(e.Body.Data))
	}
	return nil
}

// Access is what RAM holds for the tenant.
type Access struct{ Role, Trust, Policy, Document string }

// Access reads the tenant's role and policy as the platform team sees them.
func (d *Demo) Access(ctx context.Context, roleARN string) (Access, error) {
	_, name, ok := strings.Cut(roleARN, ":role/")
	if !ok {
		return Access{}, fmt.Errorf("%q is no ARN of a role", roleARN)
	}
	var role struct {
		Role struct{ Arn, AssumeRolePolicyDocument string }
	}
	if err := d.ram(ctx, ramVersion, "GetRole", map[string]string{"RoleName": name}, &role); err != nil {
		return Access{}, err
	}
	var attached struct {
		Policies struct {
			Policy []struct{ PolicyName, PolicyType string }
		}
	}
	if err := d.ram(ctx, ramVersion, "ListPoliciesForRole", map[string]string{"RoleName": name}, &attached); err != nil {
		return Access{}, err
	}
	if len(attached.Policies.Policy) != 1 {
		return Access{}, fmt.Errorf("the role %s has %d policies, want one", name, len(attached.Policies.Policy))
	}
	p := attached.Policies.Policy[0]
	var policy struct {
		DefaultPolicyVersion struct{ PolicyDocument string }
	}
	if err := d.ram(ctx, ramVersion, "GetPolicy", map[string]string{"PolicyType": p.PolicyType, "PolicyName": p.PolicyName}, &policy); err != nil {
		return Access{}, err
	}
	return Access{
		Role: role.Role.Arn, Trust: role.Role.AssumeRolePolicyDocument,
		Policy: p.PolicyName, Document: policy.DefaultPolicyVersion.PolicyDocument,
	}, nil
}

// RoleARN returns the role that the tenant's status names.
func (d *Demo) RoleARN(ctx context.Context) (string, error) {
	var t v1alpha1.UploadTenant
	if err := d.client.Get(ctx, client.ObjectKey{Namespace: AppNamespace, Name: Tenant}, &t); err != nil {
		return "", err
	}
	if t.Status.Role == nil {
		return "", fmt.Errorf("the status of tenant %s names no role", Tenant)
	}
	return t.Status.Role.ARN, nil
}

func (d *Demo) showAccess(ctx context.Context) error {
	arn, err := d.RoleARN(ctx)
	if err != nil {
		return err
	}
	a, err := d.Access(ctx, arn)
	if err != nil {
		return err
	}
	d.say("GetRole: %s\ntrusted is the signer's service account alone:", a.Role)
	d.say("%s", pretty(json.RawMessage(a.Trust)))
	d.say("GetPolicy: %s", a.Policy)
	d.say("%s", pretty(json.RawMessage(a.Document)))
	return nil
}

func (d *Demo) showMore(context.Context) error {
	d.say("%s", strings.Join([]string{
		d.environment(),
		"kubectl get cloudaccounts,uploadtenants -A -o wide",
		"go run ./cmd/kubectl-uploads doctor " + Tenant + " -n " + AppNamespace + "     # make plugin installs it as `kubectl uploads`",
		"kubectl -n " + AppNamespace + " describe uploadtenant " + Tenant,
		"kubectl -n " + AppNamespace + " get serviceaccount,configmap,secret,deployment,service -l app.kubernetes.io/instance=" + Tenant,
		"kubectl -n " + AppNamespace + " logs deployment/" + SignerService + "     # one line per decision",
		"kubectl -n " + AppNamespace + " logs deployment/album-app        # the events",
		"kubectl -n " + CloudNamespace + " port-forward service/emulator 9000 9001   # then http://127.0.0.1:9000/_emulator/requests",
		"kubectl -n " + AppNamespace + " edit uploadtenant " + Tenant + "          # try limits.size.max: 1Ki, then `make demo` again",
		"make demo-down                                          # remove all of it",
	}, "\n"))
	return nil
}

// pretty prints a value as indented JSON.
func pretty(v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(out.String())
}

// NotExist tells whether err is RAM's answer that something does not exist.
func NotExist(err error) bool {
	var e *apiError
	return errors.As(err, &e) && strings.HasPrefix(e.Code, "EntityNotExist")
}

// PolicyExists tells whether RAM has the tenant's policy, which has the name of its role.
func (d *Demo) PolicyExists(ctx context.Context, roleARN string) (bool, error) {
	_, name, _ := strings.Cut(roleARN, ":role/")
	err := d.ram(ctx, ramVersion, "GetPolicy", map[string]string{"PolicyType": "Custom", "PolicyName": name}, nil)
	if NotExist(err) {
		return false, nil
	}
	return err == nil, err
}
