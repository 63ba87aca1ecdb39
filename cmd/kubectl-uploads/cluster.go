package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

// clusterFlags are the flags by which kubectl finds a cluster.
type clusterFlags struct {
	rules     *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

// shownFlags are those of a cluster that help lists; kubectl's others work, too.
var shownFlags = []string{"kubeconfig", "context", "namespace", "as", "request-timeout"}

// forCluster gives a command the flags of a cluster.
func forCluster(c *cobra.Command) *clusterFlags {
	f := &clusterFlags{rules: clientcmd.NewDefaultClientConfigLoadingRules()}
	flags := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	flags.StringVar(&f.rules.ExplicitPath, "kubeconfig", "", "`FILE` that names clusters (default $KUBECONFIG, else ~/.kube/config)")
	clientcmd.BindOverrideFlags(&f.overrides, flags, clientcmd.RecommendedConfigOverrideFlags(""))
	for name, usage := range map[string]string{
		"context":         "`NAME` of the context in the kubeconfig",
		"namespace":       "`NAME` of the tenant's namespace (default: that of the context)",
		"as":              "act as this `USER`",
		"request-timeout": "give up on a single request after this `DURATION`; 0 never does",
	} {
		flags.Lookup(name).Usage = usage
	}
	flags.VisitAll(func(flag *pflag.Flag) { flag.Hidden = !slices.Contains(shownFlags, flag.Name) })
	c.Flags().AddFlagSet(flags)
	return f
}

// session finds the cluster that the flags name.
func (f *clusterFlags) session(c *cobra.Command) (*uploadsctl.Session, error) {
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(f.rules, &f.overrides)
	cfg, err := config.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("no cluster is configured: name a file with --kubeconfig or $KUBECONFIG")
	}
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	namespace, _, err := config.Namespace()
	if err != nil {
		return nil, fmt.Errorf("find the namespace: %w", err)
	}
	cfg.UserAgent = rest.DefaultKubernetesUserAgent()
	cfg.WarningHandler = rest.NewWarningWriter(c.ErrOrStderr(), rest.WarningWriterOptions{Deduplicate: true})
	api, err := uploadsctl.NewClient(cfg)
	if err != nil {
		return nil, uploadsctl.Explain(err)
	}
	return &uploadsctl.Session{Client: api, Config: cfg, Namespace: namespace, Now: time.Now, Out: c.OutOrStdout(), Log: c.ErrOrStderr()}, nil
}

// run makes a command of what is done in the cluster that the flags name.
func (f *clusterFlags) run(do func(ctx context.Context, s *uploadsctl.Session, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		s, err := f.session(c)
		if err != nil {
			return err
		}
		return do(c.Context(), s, args)
	}
}

// tenantArgs completes the name of a tenant in the first place.
func (f *clusterFlags) tenantArgs(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := f.session(c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	s.Log = io.Discard
	ctx, cancel := context.WithTimeout(c.Context(), 3*time.Second) // a shell that waits longer is a nuisance
	defer cancel()
	tenants, err := s.Tenants(ctx, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, t := range tenants {
		if strings.HasPrefix(t.Name, prefix) {
			names = append(names, t.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// outputFlag adds -o.
func outputFlag(c *cobra.Command, into *uploadsctl.Output, wide bool) {
	allowed := uploadsctl.Outputs(wide)
	c.Flags().VarP(&choice{into: (*string)(into), allowed: allowed}, "output", "o", "write `FORMAT`: "+strings.Join(allowed, ", "))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// choice is a flag that takes one of some words.
type choice struct {
	into    *string
	allowed []string
}

func (c *choice) String() string { return *c.into }
func (c *choice) Type() string   { return "string" }

// Set refuses what is not allowed.
func (c *choice) Set(value string) error {
	if !slices.Contains(c.allowed, value) {
		return fmt.Errorf("it must be one of %s", strings.Join(c.allowed, ", "))
	}
	*c.into = value
	return nil
}

// waitFlags adds --wait and --timeout.
func waitFlags(c *cobra.Command, into *uploadsctl.WaitOptions, what string) {
	c.Flags().BoolVar(&into.Wait, "wait", true, "wait until "+what)
	c.Flags().DurationVar(&into.Timeout, "timeout", 2*time.Minute, "wait at most so long")
}

// name is the argument of commands that take one tenant.
func name(c *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("name one tenant, as in: %s; `kubectl uploads status` lists them", strings.TrimSpace(strings.SplitN(c.Example, "\n", 2)[0]))
}
