package devmode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listeners of all parts. They are opened first, so that an address in use is told before anything is made.
type listeners struct {
	signer, oss, api, ops net.Listener
}

func listenAll(ctx context.Context, opts Options) (*listeners, error) {
	l := &listeners{}
	var errs []error
	for _, part := range []struct {
		listener   *net.Listener
		addr, flag string
	}{
		{&l.signer, opts.Addr, "--addr"}, {&l.oss, opts.OSSAddr, "--oss-addr"},
		{&l.api, opts.APIAddr, "--api-addr"}, {&l.ops, opts.OpsAddr, "--ops-addr"},
	} {
		var err error
		if *part.listener, err = listen(ctx, part.addr, part.flag); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		l.close()
		return nil, errors.Join(errs...)
	}
	return l, nil
}

func listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s is in use: stop the program that uses it, or choose another address", flag, addr)
	default:
		return nil, fmt.Errorf("%s %s: %w", flag, addr, err)
	}
}

func (l *listeners) close() {
	for _, listener := range []net.Listener{l.signer, l.oss, l.api, l.ops} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

// baseURL of a listener as a client on this machine reaches it.
func baseURL(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if ok && addr.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", addr.Port)
	}
	return "http://" + l.Addr().String()
}
