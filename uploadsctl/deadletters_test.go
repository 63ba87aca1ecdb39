package uploadsctl_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/uploadtenant/uploadtenant/api/v1alpha1"
	"github.com/uploadtenant/uploadtenant/signer"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

// fakeSigner answers on an ops port by the signer's own types.
type fakeSigner struct {
	mu     sync.Mutex
	dead   []signer.DeadLetter
	asked  [][]string
	broken bool
}

func (f *fakeSigner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.broken:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"detail":"the index cannot be asked now"}`))
	case r.Method+r.URL.Path == "GET/events/dead":
		_ = json.NewEncoder(w).Encode(map[string]any{"items": f.dead})
	case r.Method+r.URL.Path == "POST/events/replay":
		var body struct{ IDs []string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		f.asked = append(f.asked, body.IDs)
		before := len(f.dead)
		f.dead = slices.DeleteFunc(f.dead, func(d signer.DeadLetter) bool { return len(body.IDs) == 0 || slices.Contains(body.IDs, d.ID) })
		_ = json.NewEncoder(w).Encode(map[string]int{"replayed": before - len(f.dead)})
	default:
		http.NotFound(w, r)
	}
}

// withEvents asks for events, which the application receives nowhere.
func withEvents(t *v1alpha1.UploadTenant) {
	t.Spec.Events = &v1alpha1.EventsSpec{URL: "https://app.example.com/hooks", SecretRef: v1alpha1.SecretKeyReference{Name: "album-events"}}
}

// signerPod is a pod of the tenant's signer as the kubelet would show it.
func (p *person) signerPod(tenant string) {
	p.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: tenant + "-signer-0", Namespace: p.Namespace,
			Labels: map[string]string{"app.kubernetes.io/name": "uploadtenant-signer", "app.kubernetes.io/instance": tenant},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "signer", Image: "signer:test",
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "ops", ContainerPort: 8081}},
		}}},
	}
	p.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: p.Namespace}}, pod)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	if err := p.Client.Status().Update(p.Context(), pod); err != nil {
		p.Fatal(err)
	}
}

func TestDeadLettersAreListedShownAndReplayed(t *testing.T) {
	f := &fakeSigner{}
	for _, id := range []string{"one", "two", "three"} {
		f.dead = append(f.dead, signer.DeadLetter{
			ID: id, UploadID: id, Type: "upload.completed", CreatedAt: time.Now().Add(-26 * time.Hour), Attempts: 31,
			Reason: "HTTP 500", Payload: json.RawMessage(`{"type":"upload.completed","data":{"key":"album/alice/` + id + `.jpg"}}`),
		})
	}
	server := httptest.NewServer(f)
	defer server.Close()
	p := newPerson(t)
	p.create(p.newTenant("album", withEvents), p.newTenant("mute"))
	var dialled string
	letters := &uploadsctl.DeadLetters{Session: p.Session, Tenant: "album", Dial: func(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error) {
		if port != 8081 {
			t.Errorf("port %d was asked, want the ops port", port)
		}
		dialled = pod.Name
		return (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(server.URL, "http://"))
	}}
	list := func(ctx context.Context) error { return letters.List(ctx, uploadsctl.Text) }
	contains(t, p.says(errTrouble, list), "no signer of album is ready", "kubectl uploads doctor album -n "+p.Namespace)
	p.signerPod("album")

	contains(t, p.says(nil, list), "ID", "two", "upload.completed", "26h", "31", "HTTP 500")
	if dialled != "album-signer-0" {
		t.Errorf("pod %q was asked", dialled)
	}
	contains(t, p.says(nil, func(ctx context.Context) error { return letters.Show(ctx, "two", uploadsctl.Text) }), `"key": "album/alice/two.jpg"`, "HTTP 500")
	contains(t, p.says(errTrouble, func(ctx context.Context) error { return letters.Show(ctx, "four", uploadsctl.Text) }), `no dead letter "four"`)
	contains(t, p.says(errTrouble, func(ctx context.Context) error { return letters.Replay(ctx, []string{"one", "four"}) }), `no dead letter "four"`)
	if len(f.asked) > 0 {
		t.Errorf("a wrong id replayed something: %v", f.asked)
	}
	contains(t, p.says(nil, func(ctx context.Context) error { return letters.Replay(ctx, []string{"one"}) }), "1 event is delivered again")
	contains(t, p.says(nil, func(ctx context.Context) error { return letters.Replay(ctx, nil) }), "2 events are delivered again")
	contains(t, p.says(nil, list), "album has no dead letters")
	contains(t, p.says(nil, func(ctx context.Context) error { return letters.Replay(ctx, nil) }), "nothing to replay")

	f.broken = true
	contains(t, p.says(errTrouble, list), "pod album-signer-0", "503", "the index cannot be asked now")
	letters.Tenant = "mute"
	contains(t, p.says(errTrouble, list), "mute sends no events")
}
