// Command emulator serves Alibaba Cloud OSS on one address and RAM, STS and IMS on another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator"
	"github.com/uploadtenant/uploadtenant/emulator/faults"
	"github.com/uploadtenant/uploadtenant/emulator/iam"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "emulator:", err)
		}
		stop()
		os.Exit(1)
	}
}

// flags are what the command line says.
type flags struct {
	ossAddr, apiAddr, wechatAddr string
	accessKey                    string
	wechatApps                   list
	tlsCert, tlsKey              string
	oidcCA, oidcBearerTokenFile  string
	oidcJWKS, endpoints, buckets list
	verbose                      bool
	options                      emulator.Options
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// pairs splits every entry at the first separator. The message does not repeat the entry: it may hold a secret.
func (l list) pairs(separator, message string) (map[string]string, error) {
	out := map[string]string{}
	for _, entry := range l {
		name, value, ok := strings.Cut(entry, separator)
		if !ok || name == "" || value == "" {
			return nil, errors.New(message)
		}
		out[name] = value
	}
	return out, nil
}

func parse(args []string, stderr io.Writer) (flags, error) {
	var f flags
	fs := flag.NewFlagSet("emulator", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&f.ossAddr, "oss-addr", "127.0.0.1:9000", "address of OSS; buckets are in the path or the first label of the host")
	fs.StringVar(&f.apiAddr, "api-addr", "127.0.0.1:9001", "address of RAM, STS and IMS")
	fs.StringVar(&f.wechatAddr, "wechat-addr", "", "further address for WeChat alone; it is on --api-addr as well")
	fs.Var(&f.wechatApps, "wechat-app", "APPID:SECRET of a mini-program; may be repeated; default: every pair is accepted")
	fs.StringVar(&f.options.WeChatPush.URL, "wechat-push-url", "", "where results of WeChat media checks are sent")
	fs.Func("faults", "faults that are in force from the start, as JSON; see PUT /_emulator/faults", func(v string) error {
		c, err := faults.Parse(strings.NewReader(v))
		f.options.Faults = &c
		return err
	})
	fs.StringVar(&f.accessKey, "access-key", "", "AccessKeyID:Secret of the RAM user admin; default from EMULATOR_ACCESS_KEY, else a fixed pair that is printed")
	fs.StringVar(&f.options.DataDir, "data", "", "directory that keeps everything across restarts; default: memory only")
	fs.StringVar(&f.options.AccountID, "account-id", emulator.DefaultAccountID, "id of the account")
	fs.StringVar(&f.options.Region, "region", emulator.DefaultRegion, "region of the buckets")
	fs.StringVar(&f.options.CallbackKeyURL, "callback-key-url", "", "address of the callback key as told to applications; default: derived from the host of each upload")
	fs.IntVar(&f.options.CallbackKeyBits, "callback-key-bits", 512, "size of a new callback key; OSS has 512")
	fs.Var(&f.endpoints, "endpoint", "further host name that buckets are subdomains of; may be repeated")
	fs.Var(&f.buckets, "bucket", "bucket to create at start; may be repeated")
	fs.Var(&f.oidcJWKS, "oidc-jwks", "ISSUER=URL-or-file of an OIDC issuer's keys; may be repeated")
	fs.StringVar(&f.oidcCA, "oidc-ca", "", "PEM file of the CA that OIDC issuers are verified with")
	fs.StringVar(&f.oidcBearerTokenFile, "oidc-bearer-token-file", "", "file of a token to present to the hosts of --oidc-jwks, for example a pod's service-account token")
	fs.StringVar(&f.tlsCert, "tls-cert", "", "certificate file; both addresses then speak HTTPS")
	fs.StringVar(&f.tlsKey, "tls-key", "", "key file of --tls-cert")
	r := &f.options.Rules
	fs.BoolVar(&r.PublicByDefault, "public-by-default", false, "leave public access of new buckets unblocked")
	fs.BoolVar(&r.RefuseV1, "refuse-v1", false, "refuse signature version 1, as new buckets of the real service do")
	fs.BoolVar(&r.StrictDateSkew, "strict-date-skew", false, "refuse forms signed more than 15 minutes ago")
	fs.BoolVar(&r.ListedFieldsOnly, "listed-fields-only", false, "refuse form fields that the policy does not mention")
	fs.BoolVar(&r.RefusePrivateCallbacks, "refuse-private-callbacks", false, "refuse callbacks to private addresses, as the real service does")
	fs.BoolVar(&f.verbose, "v", false, "log every request")
	if err := fs.Parse(args); err != nil {
		return f, err
	}
	if fs.NArg() > 0 {
		return f, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return f, f.complete()
}

func (f *flags) complete() error {
	if f.accessKey == "" {
		f.accessKey = os.Getenv("EMULATOR_ACCESS_KEY")
	}
	if f.accessKey == "" {
		f.accessKey = emulator.DefaultAccessKeyID + ":" + emulator.DefaultAccessKeySecret
	}
	id, secret, ok := strings.Cut(f.accessKey, ":")
	if !ok || id == "" || secret == "" {
		return errors.New("--access-key must be AccessKeyID:Secret")
	}
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	f.options.AccessKeyID, f.options.AccessKeySecret = id, secret
	f.options.Endpoints, f.options.Buckets = f.endpoints, f.buckets
	var err error
	if f.options.JWKS, err = f.oidcJWKS.pairs("=", "--oidc-jwks must be ISSUER=URL-or-file"); err != nil {
		return err
	}
	if f.options.WeChatApps, err = f.wechatApps.pairs(":", "--wechat-app must be APPID:SECRET"); err != nil {
		return err
	}
	f.options.WeChatPush.Token = os.Getenv("EMULATOR_WECHAT_PUSH_TOKEN")
	client, err := iam.NewIssuerClient(f.oidcCA, f.oidcBearerTokenFile, f.options.JWKS)
	if err != nil {
		return err
	}
	f.options.OIDCClient = client
	return nil
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f, err := parse(args, stderr)
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	f.options.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	e, err := emulator.New(f.options)
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, f, e, stdout), e.Close())
}

func serve(ctx context.Context, f flags, e *emulator.Emulator, stdout io.Writer) error {
	scheme := "http"
	if f.tlsCert != "" {
		scheme = "https"
	}
	failed := make(chan error, 3)
	var servers []*http.Server
	for _, s := range []struct {
		what, addr string
		handler    http.Handler
	}{{"OSS", f.ossAddr, e.OSS()}, {"RAM, STS and IMS", f.apiAddr, e.API()}, {"WeChat", f.wechatAddr, e.WeChat()}} {
		if s.addr == "" {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for %s: %w", s.what, err), shutdown(servers))
		}
		server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
		servers = append(servers, server)
		fmt.Fprintf(stdout, "%s on %s://%s (account %s, region %s, access key %s)\n",
			s.what, scheme, listener.Addr(), f.options.AccountID, f.options.Region, f.options.AccessKeyID)
		go func() {
			if f.tlsCert != "" {
				failed <- server.ServeTLS(listener, f.tlsCert, f.tlsKey)
				return
			}
			failed <- server.Serve(listener)
		}()
	}
	select {
	case err := <-failed:
		return errors.Join(err, shutdown(servers))
	case <-ctx.Done():
		return shutdown(servers)
	}
}

// shutdown lets running requests finish, for a while.
func shutdown(servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop: %w", err))
		}
	}
	return errors.Join(errs...)
}
