// Package doctor checks an installation and a tenant from a person's machine, and says for whatever is wrong
// what to do about it. Every check is a function of its own; most judge values that were read before.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/uploadtenant/uploadtenant/signer/guard"
	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

// Level of a Finding.
type Level string

// Levels. Only Fail makes the whole answer a no.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
	// Skip tells what could not be looked at, and why.
	Skip Level = "skip"
)

// Finding is the outcome of one check.
type Finding struct {
	// Subject that was looked at, such as "CloudAccount default".
	Subject string `json:"subject"`
	Level   Level  `json:"level"`
	Message string `json:"message"`
	// Remedy of what is not OK.
	Remedy string `json:"remedy,omitempty"`
}

func ok(subject, format string, args ...any) Finding {
	return Finding{Subject: subject, Level: OK, Message: fmt.Sprintf(format, args...)}
}

func skip(subject, format string, args ...any) Finding {
	return Finding{Subject: subject, Level: Skip, Message: fmt.Sprintf(format, args...)}
}

func fail(subject, remedy, format string, args ...any) Finding {
	return Finding{Subject: subject, Level: Fail, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

func warn(subject, remedy, format string, args ...any) Finding {
	return Finding{Subject: subject, Level: Warn, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// Doctor checks one cluster.
type Doctor struct {
	*uploadsctl.Session
	// Lookup resolves a host as this machine does.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Public makes requests to URLs that a tenant names: it connects to public addresses only.
	Public *http.Client
	// Any makes requests to what the platform team names: an emulator may be anywhere.
	Any *http.Client
	// SignerState asks a signer's pod why it is not ready.
	SignerState func(ctx context.Context, pod *corev1.Pod) (string, error)
}

// patience with an address that does not answer.
const patience = 5 * time.Second

// New returns a Doctor that looks from this machine.
func New(s *uploadsctl.Session) *Doctor {
	return &Doctor{
		Session: s,
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		Public: guard.Client(guard.Public, patience),
		Any: &http.Client{
			Timeout:       patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		SignerState: func(ctx context.Context, pod *corev1.Pod) (string, error) {
			return uploadsctl.SignerState(ctx, pod, s.Forward)
		},
	}
}

// Report is every finding of a run.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Run checks the installation, and the tenant when it is named, and writes what it found. The error is
// uploadsctl.ErrNo when a check failed.
func (d *Doctor) Run(ctx context.Context, tenant string, out uploadsctl.Output) error {
	findings, reached := d.installation(ctx)
	switch {
	case !reached:
	case tenant == "":
		findings = append(findings, d.tenants(ctx)...)
	default:
		findings = append(findings, d.tenant(ctx, tenant)...)
	}
	report := Report{Findings: findings}
	if err := report.write(d.Out, out); err != nil {
		return err
	}
	if len(report.failed()) > 0 {
		return uploadsctl.ErrNo
	}
	return nil
}

func (r Report) failed() []Finding {
	var failed []Finding
	for _, f := range r.Findings {
		if f.Level == Fail {
			failed = append(failed, f)
		}
	}
	return failed
}

func (r Report) write(w io.Writer, out uploadsctl.Output) error {
	var raw []byte
	var err error
	switch out {
	case uploadsctl.JSON:
		raw, err = json.MarshalIndent(r, "", "  ")
		raw = append(raw, '\n')
	case uploadsctl.YAML:
		raw, err = yaml.Marshal(r)
	default:
		r.print(w)
		return nil
	}
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	_, err = w.Write(raw)
	return err
}

// marks of the levels in text: what is wrong stands out.
var marks = map[Level]string{OK: "ok", Warn: "warn", Fail: "FAIL", Skip: "-"}

func (r Report) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", marks[f.Level], f.Subject, f.Message)
		if f.Remedy != "" {
			fmt.Fprintf(t, "\t\t  -> %s\n", f.Remedy)
		}
	}
	_ = t.Flush() // the reader may go away
	count := map[Level]int{}
	for _, f := range r.Findings {
		count[f.Level]++
	}
	switch {
	case count[Fail] > 0:
		fmt.Fprintf(w, "\n%d of %d checks failed.\n", count[Fail], len(r.Findings))
	case count[Warn] > 0:
		fmt.Fprintf(w, "\nNo check failed; look at what is marked warn.\n")
	default:
		fmt.Fprintln(w, "\nNothing is wrong.")
	}
}
