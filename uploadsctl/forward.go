package uploadsctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Forward connects to a port of a pod through the API server, as `kubectl port-forward` does, but without a
// local port that others on this machine could use meanwhile. It needs the right to create
// pods/portforward.
func (s *Session) Forward(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error) {
	dialer, err := s.forwardDialer(pod)
	if err != nil {
		return nil, err
	}
	connection, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil && !s.mayForward(ctx, pod.Namespace) { // a failed upgrade does not tell why
		return nil, fmt.Errorf("you may not forward ports in namespace %s: ask for the right to create pods/portforward, which the role edit has", pod.Namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("forward port %d: %w", port, err)
	}
	stream, err := openStream(connection, port)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("forward port %d: %w", port, err), connection.Close())
	}
	return stream, nil
}

// mayForward asks the API server for the caller's right; when it does not say, the right is not in question.
func (s *Session) mayForward(ctx context.Context, namespace string) bool {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "create", Resource: "pods", Subresource: "portforward"},
	}}
	err := s.Client.Create(ctx, review)
	return err != nil || review.Status.Allowed
}

// forwardDialer prefers websockets, as kubectl does, and takes SPDY where a server or proxy cannot.
func (s *Session) forwardDialer(pod *corev1.Pod) (httpstream.Dialer, error) {
	clients, err := kubernetes.NewForConfig(s.Config)
	if err != nil {
		return nil, err
	}
	address := clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(s.Config)
	if err != nil {
		return nil, err
	}
	websocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(address, s.Config)
	if err != nil {
		return nil, err
	}
	fallback := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, address)
	return portforward.NewFallbackDialerForStreaming(websocket, fallback, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// openStream opens the pair of streams that make one forwarded connection.
func openStream(connection httpstream.Connection, port int32) (*forwarded, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	complaints, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	complaints.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	f := &forwarded{Stream: data, connection: connection, complaint: make(chan string, 1)}
	go func() {
		text, _ := io.ReadAll(complaints) // it ends with the connection
		f.complaint <- string(text)
	}()
	return f, nil
}

// forwarded is a net.Conn over a stream. It knows no deadlines: the HTTP client's timeout closes it.
type forwarded struct {
	httpstream.Stream
	connection httpstream.Connection
	complaint  chan string
}

// complaintWait bounds how long the end of a stream waits for its cause, which comes on another stream.
const complaintWait = time.Second

// Read reads what the pod sent; its end is an error when the kubelet complained.
func (f *forwarded) Read(p []byte) (int, error) {
	n, err := f.Stream.Read(p)
	if err == nil || n > 0 {
		return n, err
	}
	select {
	case text := <-f.complaint:
		if text != "" {
			return 0, errors.New(text)
		}
	case <-time.After(complaintWait):
	}
	return 0, err
}

// Close ends the forward.
func (f *forwarded) Close() error { return f.connection.Close() }

// LocalAddr is a name: there is no address.
func (f *forwarded) LocalAddr() net.Addr { return streamAddr{} }

// RemoteAddr is a name: there is no address.
func (f *forwarded) RemoteAddr() net.Addr { return streamAddr{} }

// SetDeadline does nothing.
func (f *forwarded) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (f *forwarded) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (f *forwarded) SetWriteDeadline(time.Time) error { return nil }

type streamAddr struct{}

func (streamAddr) Network() string { return "portforward" }
func (streamAddr) String() string  { return "pod" }
