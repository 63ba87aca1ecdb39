package uploadsctl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"
)

// Output is a way to write an answer.
type Output string

// Outputs. Text is for people and may change; JSON and YAML keep their field names.
const (
	Text Output = ""
	Wide Output = "wide"
	JSON Output = "json"
	YAML Output = "yaml"
)

// Outputs that a flag may name, for its help and its completion.
func Outputs(wide bool) []string {
	if wide {
		return []string{string(JSON), string(YAML), string(Wide)}
	}
	return []string{string(JSON), string(YAML)}
}

// encode writes a value as JSON or YAML and tells whether the output was one of them.
func (o Output) encode(w io.Writer, value any) (done bool, err error) {
	var raw []byte
	switch o {
	case JSON:
		raw, err = json.MarshalIndent(value, "", "  ")
		raw = append(raw, '\n')
	case YAML:
		raw, err = yaml.Marshal(value)
	default:
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("encode the answer: %w", err)
	}
	_, err = w.Write(raw)
	return true, err
}

// table writes rows in aligned columns.
func table(w io.Writer, rows ...[]string) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush() // the reader may go away
}

// ago is the age of something in the form that kubectl has.
func (s *Session) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(s.Now().Sub(t))
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// StatusOptions of Status.
type StatusOptions struct {
	// Name of one tenant; "" for all.
	Name          string
	AllNamespaces bool
	Output        Output
}

// Status shows one tenant or many. The error is ErrNo when one of them is not ready.
func (s *Session) Status(ctx context.Context, opts StatusOptions) error {
	if opts.Name != "" {
		return s.statusOf(ctx, opts)
	}
	tenants, err := s.Tenants(ctx, opts.AllNamespaces)
	if err != nil {
		return err
	}
	if done, err := opts.Output.encode(s.Out, map[string]any{"items": tenants}); !done {
		s.printTenants(tenants, opts)
	} else if err != nil {
		return err
	}
	for _, t := range tenants {
		if t.Ready != metav1.ConditionTrue {
			return ErrNo
		}
	}
	return nil
}

func (s *Session) statusOf(ctx context.Context, opts StatusOptions) error {
	t, err := s.Tenant(ctx, opts.Name)
	if err != nil {
		return err
	}
	if done, err := opts.Output.encode(s.Out, t); !done {
		s.printTenant(t)
	} else if err != nil {
		return err
	}
	if t.Ready != metav1.ConditionTrue {
		return ErrNo
	}
	return nil
}

func (s *Session) printTenants(tenants []Tenant, opts StatusOptions) {
	if len(tenants) == 0 && opts.AllNamespaces {
		fmt.Fprintln(s.Log, "There is no UploadTenant in this cluster.")
		return
	}
	if len(tenants) == 0 {
		fmt.Fprintf(s.Log, "There is no UploadTenant in namespace %s; -A looks in all namespaces.\n", s.Namespace)
		return
	}
	header := []string{"NAME", "READY", "REASON", "BUCKET", "URL", "SIGNER", "AGE"}
	if opts.AllNamespaces {
		header = append([]string{"NAMESPACE"}, header...)
	}
	if opts.Output == Wide {
		header = append(header, "POLICY", "ACCOUNT", "UPLOAD URL", "ROLE")
	}
	rows := [][]string{header}
	var remarks []string
	for _, t := range tenants {
		address := t.URL
		if address == "" {
			address = t.ClusterURL
		}
		row := []string{
			t.Name, string(t.Ready), t.Reason, t.Bucket + "/" + t.Prefix, orNone(address),
			fmt.Sprintf("%d/%s", t.Replicas, t.WantedReplicas), s.ago(t.CreatedAt.Time),
		}
		if opts.AllNamespaces {
			row = append([]string{t.Namespace}, row...)
		}
		if opts.Output == Wide {
			row = append(row, string(t.ManagementPolicy), t.Account, orNone(t.UploadURL), orNone(t.Role))
		}
		rows = append(rows, row)
		if t.Ready != metav1.ConditionTrue {
			remarks = append(remarks, t.complaint(opts.AllNamespaces))
		}
	}
	table(s.Out, rows...)
	for _, remark := range remarks {
		fmt.Fprintf(s.Out, "\n%s\n", remark)
	}
}

// complaint says why a tenant is not ready and what to do.
func (t Tenant) complaint(withNamespace bool) string {
	name := t.Name
	if withNamespace {
		name = t.Namespace + "/" + name
	}
	text := fmt.Sprintf("%s is not ready (%s): %s", name, t.Reason, t.Message)
	if t.Remedy != "" {
		text += "\n  -> " + t.Remedy
	}
	return text
}

func (s *Session) printTenant(t Tenant) {
	state := map[metav1.ConditionStatus]string{metav1.ConditionTrue: "Ready", metav1.ConditionFalse: "not Ready"}[t.Ready]
	if state == "" {
		state = "not known to be Ready"
	}
	fmt.Fprintf(s.Out, "%s/%s is %s (%s): %s\n", t.Namespace, t.Name, state, t.Reason, t.Message)
	if t.Remedy != "" {
		fmt.Fprintf(s.Out, "  -> %s\n", t.Remedy)
	}
	fmt.Fprintln(s.Out)
	facts := [][]string{
		{"Bucket", t.Bucket + "/" + t.Prefix},
		{"Clients post to", orNone(t.UploadURL)},
		{"Signer", fmt.Sprintf("%d of %s replicas ready", t.Replicas, t.WantedReplicas)},
		{"  from outside", orNone(t.URL)},
		{"  in the cluster", orNone(t.ClusterURL)},
		{"RAM role", orNone(t.Role)},
		{"CloudAccount", t.Account},
		{"Management", string(t.ManagementPolicy)},
		{"Age", s.ago(t.CreatedAt.Time)},
	}
	table(s.Out, facts...)

	rows := [][]string{{"\nCONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"}}
	for _, c := range t.Conditions {
		message := c.Message
		if c.Remedy != "" && c.Remedy != t.Remedy {
			message += " -> " + c.Remedy
		}
		rows = append(rows, []string{c.Type, string(c.Status), s.ago(c.Since.Time), c.Reason, message})
	}
	if len(rows) > 1 {
		table(s.Out, rows...)
	}
	if len(t.Plan) > 0 {
		fmt.Fprintf(s.Out, "\nPending changes, which managementPolicy Full would make:\n")
		printPlan(s.Out, t.Plan)
	}
	if len(t.Events) > 0 {
		rows = [][]string{{"\nEVENT", "AGE", "REASON", "MESSAGE"}}
		for _, e := range t.Events {
			age := s.ago(e.Time.Time)
			if e.Count > 1 {
				age += fmt.Sprintf(" (x%d)", e.Count)
			}
			rows = append(rows, []string{e.Type, age, e.Reason, e.Message})
		}
		table(s.Out, rows...)
	}
}
