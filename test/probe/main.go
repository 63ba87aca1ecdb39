// Command probe asks the emulator and, with credentials in the environment, a real account the same protocol
// questions and prints where their answers differ. Every question that the documentation leaves open is a case.
//
//	go run ./test/probe                                   # the emulator alone
//	PROBE_ACCESS_KEY_ID=… PROBE_ACCESS_KEY_SECRET=… go run ./test/probe --region cn-hangzhou
//
// In the real account it creates one bucket, three roles and one policy, all named ut-probe-<random>, and removes them at
// the end, also after an interrupt. The key should belong to a RAM user with AliyunOSSFullAccess, AliyunRAMFullAccess
// and AliyunSTSAssumeRoleAccess. A run makes about a hundred requests and stores a few bytes for a minute: less
// than 0.01 CNY.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	differ, err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	case differ > 0:
		os.Exit(3)
	}
}

type options struct {
	region                      string
	callbackListen, callbackURL string
	only                        string
	json                        bool
}

// run returns how many cases differ.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) (int, error) {
	var o options
	fs := flag.NewFlagSet("probe", flag.ContinueOnError)
	fs.StringVar(&o.region, "region", "cn-hangzhou", "region of the real account's bucket")
	fs.StringVar(&o.callbackListen, "callback-listen", "", "address on which this machine receives callbacks of the real OSS, for example :8080")
	fs.StringVar(&o.callbackURL, "callback-url", "", "URL by which the real OSS reaches --callback-listen")
	fs.StringVar(&o.only, "only", "", "run only the cases whose name contains this")
	fs.BoolVar(&o.json, "json", false, "print JSON lines instead of a table")
	if err := fs.Parse(args); err != nil {
		return 0, err
	}
	emulated, stop, err := startEmulated(o.region)
	if err != nil {
		return 0, err
	}
	defer stop()
	targets := []*target{emulated}
	if id, secret := getenv("PROBE_ACCESS_KEY_ID"), getenv("PROBE_ACCESS_KEY_SECRET"); id != "" && secret != "" {
		account, stop, err := realAccount(o, credential{ID: id, Secret: secret, Token: getenv("PROBE_SECURITY_TOKEN")})
		if err != nil {
			return 0, err
		}
		defer stop()
		targets = append(targets, account)
	} else {
		fmt.Fprintln(os.Stderr, "probe: no PROBE_ACCESS_KEY_ID and PROBE_ACCESS_KEY_SECRET: only the emulator is asked")
	}
	results := make([][]string, len(targets))
	cases := selected(o.only)
	for i, t := range targets {
		if results[i], err = ask(ctx, t, cases); err != nil {
			return 0, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return report(out, o.json, targets, cases, results)
}

func selected(only string) []probeCase {
	var out []probeCase
	for _, c := range allCases() {
		if strings.Contains(c.name, only) {
			out = append(out, c)
		}
	}
	return out
}

// startEmulated runs an emulator in this process.
func startEmulated(region string) (*target, func(), error) {
	e, err := emulator.New(emulator.Options{Region: region})
	if err != nil {
		return nil, nil, err
	}
	r, err := listen("127.0.0.1:0")
	if err != nil {
		return nil, nil, errors.Join(err, e.Close())
	}
	serve := func(h http.Handler) (string, *http.Server, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
		go func() { _ = s.Serve(l) }()
		return "http://" + l.Addr().String(), s, nil
	}
	ossURL, ossServer, err := serve(e.OSS())
	if err != nil {
		return nil, nil, errors.Join(err, e.Close())
	}
	apiURL, apiServer, err := serve(e.API())
	if err != nil {
		return nil, nil, errors.Join(err, ossServer.Close(), e.Close())
	}
	t := newTarget("emulator", region, credential{ID: emulator.DefaultAccessKeyID, Secret: emulator.DefaultAccessKeySecret})
	t.ossURL, t.pathStyle, t.ramURL, t.stsURL = ossURL, true, apiURL, apiURL
	t.receiver, t.callbackURL = r, "http://"+r.addr+"/callback"
	return t, func() {
		_ = ossServer.Close()
		_ = apiServer.Close()
		_ = r.server.Close()
		_ = e.Close()
	}, nil
}

func realAccount(o options, c credential) (*target, func(), error) {
	t := newTarget("account", o.region, c)
	t.ossURL = "https://oss-" + o.region + ".aliyuncs.com"
	t.ramURL, t.stsURL = "https://ram.aliyuncs.com", "https://sts."+o.region+".aliyuncs.com"
	stop := func() {}
	if o.callbackListen != "" && o.callbackURL != "" {
		r, err := listen(o.callbackListen)
		if err != nil {
			return nil, nil, fmt.Errorf("listen for callbacks: %w", err)
		}
		t.receiver, t.callbackURL = r, o.callbackURL
		stop = func() { _ = r.server.Close() }
	}
	fmt.Fprintf(os.Stderr, "probe: in the real account this creates bucket %s, roles and a policy %s*, and removes them; less than 0.01 CNY\n", t.bucket, t.prefix)
	return t, stop, nil
}

func newTarget(name, region string, c credential) *target {
	prefix := "ut-probe-" + randomText(8) + "-"
	return &target{name: name, region: region, admin: c, prefix: prefix, bucket: strings.TrimSuffix(prefix, "-"),
		client: &http.Client{Timeout: 30 * time.Second}}
}
