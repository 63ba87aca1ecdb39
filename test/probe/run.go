package main

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// ask prepares an account, runs the cases and cleans up, whatever happens.
func ask(ctx context.Context, t *target, cases []probeCase) (results []string, err error) {
	if err := t.setUp(ctx); err != nil {
		return nil, err
	}
	defer func() {
		// An interrupt must not leave anything behind.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, t.cleanUp(clean))
	}()
	for _, c := range cases {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		outcome, err := c.run(ctx, t)
		switch {
		case errors.Is(err, errNoReceiver):
			outcome = err.Error()
		case err != nil:
			outcome = "failed: " + err.Error()
		}
		// Names of this run would make two accounts differ.
		results = append(results, strings.ReplaceAll(outcome, t.prefix, "PREFIX-"))
	}
	return results, nil
}

func (t *target) setUp(ctx context.Context) error {
	a, err := t.rpc(ctx, t.admin, versionSTS, "GetCallerIdentity", nil)
	if err != nil {
		return err
	}
	var who struct{ AccountId string }
	if err := json.Unmarshal(a.Body, &who); err != nil || a.Status != 200 {
		return fmt.Errorf("the access key is not usable: GetCallerIdentity answered %s", a)
	}
	t.account = who.AccountId
	if a, err = t.oss(ctx, t.admin, "PUT", "", "", nil, nil); err != nil || a.Status != 200 {
		return fmt.Errorf("create bucket %s: %s: %w", t.bucket, a, err)
	}
	return nil
}

// cleanUp removes what the probe may have created and says what it could not remove.
func (t *target) cleanUp(ctx context.Context) error {
	var errs []error
	check := func(what string, a answer, err error) {
		if err != nil || a.Status >= 300 && a.Status != 404 {
			errs = append(errs, fmt.Errorf("remove %s: %s: %w", what, a, err))
		}
	}
	listed, err := t.oss(ctx, t.admin, "GET", "", "list-type=2", nil, nil)
	check("objects", listed, err)
	var page struct {
		Contents []struct{ Key string }
	}
	if err := xml.Unmarshal(listed.Body, &page); err != nil {
		errs = append(errs, err)
	}
	for _, o := range page.Contents {
		a, err := t.oss(ctx, t.admin, "DELETE", o.Key, "", nil, nil)
		check("object "+o.Key, a, err)
	}
	a, err := t.oss(ctx, t.admin, "DELETE", "", "", nil, nil)
	check("bucket "+t.bucket, a, err)
	narrow := t.prefix + "narrow"
	a, err = t.ram(ctx, "DetachPolicyFromRole", map[string]string{"RoleName": narrow, "PolicyType": "Custom", "PolicyName": narrow})
	check("attachment", a, err)
	for _, role := range []string{narrow, t.prefix + "chained", t.prefix + "scoped", "x-" + t.prefix} {
		var last answer
		err := eventually(ctx, func() (bool, error) { // a detachment propagates
			var err error
			last, err = t.ram(ctx, "DeleteRole", map[string]string{"RoleName": role})
			return last.Status != 409, err
		})
		check("role "+role, last, err)
	}
	a, err = t.ram(ctx, "DeletePolicy", map[string]string{"PolicyName": narrow})
	check("policy "+narrow, a, err)
	return errors.Join(errs...)
}

// line is one case of the JSON output.
type line struct {
	Case     string            `json:"case"`
	Question string            `json:"question"`
	Outcomes map[string]string `json:"outcomes"`
	Same     bool              `json:"same"`
}

// report prints the outcomes and returns how many differ. A case that one side could not run does not count.
func report(out io.Writer, asJSON bool, targets []*target, cases []probeCase, results [][]string) (int, error) {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	differ := 0
	for i, c := range cases {
		l := line{c.name, c.question, map[string]string{}, true}
		for j, t := range targets {
			l.Outcomes[t.name] = results[j][i]
			if results[j][i] != results[0][i] && results[j][i] != errNoReceiver.Error() {
				l.Same = false
			}
		}
		if !l.Same {
			differ++
		}
		if asJSON {
			if err := json.NewEncoder(out).Encode(l); err != nil {
				return differ, err
			}
			continue
		}
		mark := " "
		if !l.Same {
			mark = "*"
		}
		fmt.Fprintf(w, "%s %s\t%s\n", mark, c.name, c.question)
		for j, t := range targets {
			fmt.Fprintf(w, "  \t%s: %s\n", t.name, results[j][i])
		}
	}
	if asJSON {
		return differ, nil
	}
	if err := w.Flush(); err != nil {
		return differ, err
	}
	_, err := fmt.Fprintf(out, "\n%d cases, %d differ\n", len(cases), differ)
	return differ, err
}

func md5Text(body []byte) string {
	sum := md5.Sum(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}
