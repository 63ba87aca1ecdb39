package uploadsctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/uploadtenant/uploadtenant/controllers/signerobjects"
)

// DeadLetter is an event that the signer gave up, as GET /events/dead of its ops port tells it
// (docs/guides/events.md).
type DeadLetter struct {
	ID        string          `json:"id"`
	UploadID  string          `json:"uploadId"`
	Type      string          `json:"type"`
	CreatedAt time.Time       `json:"createdAt"`
	Attempts  int             `json:"attempts"`
	Reason    string          `json:"reason"`
	Payload   json.RawMessage `json:"payload"`
}

// maxDeadLetters of one answer of the signer.
const maxDeadLetters = 1000

// maxAnswer bounds what is read from a signer: a thousand events of some KiB each.
const maxAnswer = 64 << 20

// Dialer connects to a port of a pod.
type Dialer func(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error)

// DeadLetters of one tenant. The signer shows and replays them on its own loopback address only, so the way
// to them is a port-forward, which the rights of Kubernetes guard.
type DeadLetters struct {
	*Session
	Tenant string
	// Dial is Session.Forward, except in tests.
	Dial Dialer
}

// List shows all dead letters.
func (d *DeadLetters) List(ctx context.Context, out Output) error {
	items, err := d.fetch(ctx)
	if err != nil {
		return err
	}
	if done, err := out.encode(d.Out, map[string]any{"items": items}); done {
		return err
	}
	if len(items) == 0 {
		fmt.Fprintf(d.Log, "%s has no dead letters.\n", d.Tenant)
		return nil
	}
	rows := [][]string{{"ID", "TYPE", "AGE", "ATTEMPTS", "REASON"}}
	for _, l := range items {
		rows = append(rows, []string{l.ID, l.Type, d.ago(l.CreatedAt), fmt.Sprint(l.Attempts), orNone(l.Reason)})
	}
	table(d.Out, rows...)
	if len(items) >= maxDeadLetters {
		fmt.Fprintf(d.Log, "These are the first %d; replay them to see the others.\n", len(items))
	}
	return nil
}

// Show shows one dead letter with what would be delivered.
func (d *DeadLetters) Show(ctx context.Context, id string, out Output) error {
	items, err := d.fetch(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(items, func(l DeadLetter) bool { return l.ID == id })
	if i < 0 {
		return d.unknown(id)
	}
	letter := items[i]
	if done, err := out.encode(d.Out, letter); done {
		return err
	}
	table(d.Out,
		[]string{"Event", letter.ID}, []string{"Type", letter.Type}, []string{"Upload", letter.UploadID},
		[]string{"Created", fmt.Sprintf("%s (%s ago)", letter.CreatedAt.Format(time.RFC3339), d.ago(letter.CreatedAt))},
		[]string{"Attempts", fmt.Sprint(letter.Attempts)}, []string{"Given up", orNone(letter.Reason)})
	var body bytes.Buffer
	if err := json.Indent(&body, letter.Payload, "", "  "); err != nil {
		return fmt.Errorf("the signer's answer holds a payload that is no JSON: %w", err)
	}
	fmt.Fprintf(d.Out, "\n%s\n", body.String())
	return nil
}

func (d *DeadLetters) unknown(id string) error {
	return fmt.Errorf("%s has no dead letter %q; see: kubectl uploads dead-letters %s list -n %s", d.Tenant, id, d.Tenant, d.Namespace)
}

// Replay makes dead letters due again: those with the ids, or all of them when there is no id.
func (d *DeadLetters) Replay(ctx context.Context, ids []string) error {
	signer, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer signer.close()
	if len(ids) > 0 {
		var known struct{ Items []DeadLetter }
		if err := signer.call(ctx, http.MethodGet, "/events/dead", nil, &known); err != nil {
			return err
		}
		for _, id := range ids {
			if !slices.ContainsFunc(known.Items, func(l DeadLetter) bool { return l.ID == id }) && len(known.Items) < maxDeadLetters {
				return d.unknown(id)
			}
		}
	}
	var answer struct{ Replayed int }
	if err := signer.call(ctx, http.MethodPost, "/events/replay", map[string]any{"ids": ids}, &answer); err != nil {
		return err
	}
	if answer.Replayed == 0 {
		fmt.Fprintf(d.Out, "There was nothing to replay.\n")
		return nil
	}
	fmt.Fprintf(d.Out, "%s delivered again from now on; what fails for another 24 hours comes back.\n", count(answer.Replayed, "event is", "events are"))
	return nil
}

func (d *DeadLetters) fetch(ctx context.Context) ([]DeadLetter, error) {
	signer, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer signer.close()
	var answer struct {
		Items []DeadLetter `json:"items"`
	}
	return answer.Items, signer.call(ctx, http.MethodGet, "/events/dead", nil, &answer)
}

// opsClient speaks to the ops port of one signer.
type opsClient struct {
	http *http.Client
	pod  string
}

// open finds a signer that can be asked.
func (d *DeadLetters) open(ctx context.Context) (*opsClient, error) {
	t, err := d.tenant(ctx, d.Tenant)
	if err != nil {
		return nil, err
	}
	if t.Spec.Events == nil {
		return nil, fmt.Errorf("%s sends no events (spec.events is not set), so it has no dead letters", d.Tenant)
	}
	var pods corev1.PodList
	err = d.Client.List(ctx, &pods, client.InNamespace(d.Namespace), client.MatchingLabels{
		signerobjects.LabelName: signerobjects.AppName, signerobjects.LabelInstance: d.Tenant,
	})
	if err != nil {
		return nil, Explain(err)
	}
	i := slices.IndexFunc(pods.Items, func(p corev1.Pod) bool { return podReady(&p) })
	if i < 0 {
		return nil, fmt.Errorf("no signer of %s is ready to be asked: `kubectl uploads doctor %s -n %s` tells why", d.Tenant, d.Tenant, d.Namespace)
	}
	pod := &pods.Items[i]
	port, err := opsPort(pod)
	if err != nil {
		return nil, err
	}
	return newOpsClient(pod, port, d.Dial), nil
}

func newOpsClient(pod *corev1.Pod, port int32, dial Dialer) *opsClient {
	return &opsClient{pod: pod.Name, http: &http.Client{
		// Longer than any answer of the index; a forward that hangs must not hang the command.
		Timeout:   time.Minute,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, pod, port) }},
	}}
}

func podReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp.IsZero() && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// opsPort is the container port named ops.
func opsPort(pod *corev1.Pod) (int32, error) {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == "ops" {
				return p.ContainerPort, nil
			}
		}
	}
	return 0, fmt.Errorf("pod %s has no port named ops: it is not a signer that this version knows", pod.Name)
}

func (c *opsClient) close() { c.http.CloseIdleConnections() }

// call sends one request and decodes the answer, whose status must be 200 or one of also.
func (c *opsClient) call(ctx context.Context, method, path string, body, into any, also ...int) error {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, payload)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the signer in pod %s: %w", c.pod, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of the signer in pod %s: %w", c.pod, err)
	}
	if resp.StatusCode != http.StatusOK && !slices.Contains(also, resp.StatusCode) {
		var problem struct{ Detail string }
		_ = json.Unmarshal(answer, &problem) // what is no problem document has no detail
		return fmt.Errorf("the signer in pod %s answered %s", c.pod, strings.TrimSuffix(resp.Status+": "+problem.Detail, ": "))
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the signer in pod %s answered something else than JSON: %w", c.pod, err)
	}
	return nil
}

// SignerState is what the signer in a pod says of its readiness, such as "no credentials: …".
func SignerState(ctx context.Context, pod *corev1.Pod, dial Dialer) (string, error) {
	port, err := opsPort(pod)
	if err != nil {
		return "", err
	}
	signer := newOpsClient(pod, port, dial)
	defer signer.close()
	var answer struct{ Status, Reason string }
	if err := signer.call(ctx, http.MethodGet, "/readyz", nil, &answer, http.StatusServiceUnavailable); err != nil {
		return "", err
	}
	return strings.TrimSuffix(answer.Status+": "+answer.Reason, ": "), nil
}
