package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Network reaches Services of the cluster from outside, by their names inside: a connection to
// <service>.<namespace>.svc goes through the API server to one of the Service's pods, as with
// `kubectl port-forward`. So it works on any cluster.
type Network struct {
	config *rest.Config
	client kubernetes.Interface

	mu       sync.Mutex
	forwards map[string]*forward // by address
}

// forward is a local port that leads to a pod.
type forward struct {
	local string
	stop  chan struct{}
	done  chan struct{}
}

// forwardWait bounds the opening of a forward.
const forwardWait = time.Minute

func newNetwork(config *rest.Config) (*Network, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Network{config: config, client: client, forwards: map[string]*forward{}}, nil
}

// HTTP returns a client that reaches Services by name. It follows no redirect.
func (n *Network) HTTP() *http.Client {
	return &http.Client{
		Timeout: time.Minute,
		// A pod may be replaced between two requests, so no connection is kept.
		Transport:     &http.Transport{DialContext: n.Dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Dial connects to the address of a Service: <service>.<namespace>.svc[.…]:<port>.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	f, err := n.forwardTo(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("reach %s through the cluster: %w", address, err)
	}
	return (&net.Dialer{}).DialContext(ctx, network, f.local)
}

// Close ends all forwards.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for address, f := range n.forwards {
		f.close()
		delete(n.forwards, address)
	}
}

// Forget drops the forwards, because pods were replaced. The next connection looks for new pods.
func (n *Network) Forget() { n.Close() }

func (f *forward) close() {
	close(f.stop)
	<-f.done
}

func (n *Network) forwardTo(ctx context.Context, address string) (*forward, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f, ok := n.forwards[address]; ok {
		select {
		case <-f.done: // the pod went away
			delete(n.forwards, address)
		default:
			return f, nil
		}
	}
	namespace, pod, port, err := n.target(ctx, address)
	if err != nil {
		return nil, err
	}
	f, err := n.open(ctx, namespace, pod, port)
	if err != nil {
		return nil, err
	}
	n.forwards[address] = f
	return f, nil
}

// target finds a ready pod behind the Service that an address names, and the port that the pod serves.
func (n *Network) target(ctx context.Context, address string) (namespace, pod string, port int32, err error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return "", "", 0, err
	}
	parts := strings.Split(host, ".")
	number, err := strconv.ParseInt(portText, 10, 32)
	if err != nil || len(parts) < 3 || parts[2] != "svc" {
		return "", "", 0, errors.New("not the address of a Service (service.namespace.svc:port)")
	}
	namespace = parts[1]
	service, err := n.client.CoreV1().Services(namespace).Get(ctx, parts[0], metav1.GetOptions{})
	if err != nil {
		return "", "", 0, err
	}
	pods, err := n.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()})
	if err != nil {
		return "", "", 0, err
	}
	for _, p := range pods.Items {
		if !ready(p) {
			continue
		}
		if port, ok := podPort(service, p, int32(number)); ok {
			return namespace, p.Name, port, nil
		}
		return "", "", 0, fmt.Errorf("the Service %s has no port %d", service.Name, number)
	}
	return "", "", 0, fmt.Errorf("the Service %s/%s has no ready pod", namespace, service.Name)
}

func ready(p corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podPort translates the port of a Service into that of one of its pods.
func podPort(service *corev1.Service, pod corev1.Pod, number int32) (int32, bool) {
	for _, sp := range service.Spec.Ports {
		if sp.Port != number {
			continue
		}
		if name := sp.TargetPort.StrVal; name != "" {
			for _, c := range pod.Spec.Containers {
				for _, cp := range c.Ports {
					if cp.Name == name {
						return cp.ContainerPort, true
					}
				}
			}
			return 0, false
		}
		if sp.TargetPort.IntVal != 0 {
			return sp.TargetPort.IntVal, true
		}
		return sp.Port, true
	}
	return 0, false
}

func (n *Network) open(ctx context.Context, namespace, pod string, port int32) (*forward, error) {
	transport, upgrader, err := spdy.RoundTripperFor(n.config)
	if err != nil {
		return nil, err
	}
	url := n.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	f := &forward{stop: make(chan struct{}), done: make(chan struct{})}
	opened := make(chan struct{})
	var complaints bytes.Buffer
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, f.stop, opened, io.Discard, &complaints)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	go func() {
		defer close(f.done)
		failed <- forwarder.ForwardPorts()
	}()
	select {
	case <-opened:
	case err := <-failed:
		return nil, fmt.Errorf("forward a port to pod %s: %w", pod, err)
	case <-ctx.Done():
		f.close()
		return nil, context.Cause(ctx)
	case <-time.After(forwardWait):
		f.close()
		return nil, fmt.Errorf("forward a port to pod %s: no answer within %v", pod, forwardWait)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		f.close()
		return nil, err
	}
	f.local = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local)))
	return f, nil
}
