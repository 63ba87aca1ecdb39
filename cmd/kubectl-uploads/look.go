package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/uploadtenant/uploadtenant/uploadsctl"
	"github.com/uploadtenant/uploadtenant/uploadsctl/doctor"
)

func statusCommand() *cobra.Command {
	var opts uploadsctl.StatusOptions
	c := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show tenants, or one of them with its conditions, pending changes and events",
		Long: `Show the tenants of a namespace, or of all namespaces with -A: whether each is Ready and why not, its bucket and prefix,
its URL and its signer. With NAME also its conditions, each with what to do about it, the pending changes of managementPolicy
Observe, and the latest events.

Exit status: 0 when all are ready, 1 when one is not, 2 when that cannot be told.`,
		Example: `  kubectl uploads status
  kubectl uploads status -A -o wide
  kubectl uploads status album -n family
  kubectl uploads status album -n family -o json | jq -r .reason`,
		Args: cobra.MaximumNArgs(1),
	}
	cluster := forCluster(c)
	c.ValidArgsFunction = cluster.tenantArgs
	c.Flags().BoolVarP(&opts.AllNamespaces, "all-namespaces", "A", false, "look in all namespaces")
	outputFlag(c, &opts.Output, true)
	c.RunE = cluster.run(func(ctx context.Context, s *uploadsctl.Session, args []string) error {
		if len(args) == 1 {
			opts.Name = args[0]
		}
		return s.Status(ctx, opts)
	})
	return c
}

func planCommand() *cobra.Command {
	var opts uploadsctl.PlanOptions
	c := &cobra.Command{
		Use:   "plan NAME",
		Short: "Show what the controller would change under managementPolicy Observe",
		Long: `Ask the controller for a new look at the cloud and the cluster, and show what it would change. That is for tenants with
managementPolicy Observe, under which nothing is written; for others the command says how to get there.

Exit status: 0 when nothing would be changed, 1 when something would, 2 when that cannot be told.`,
		Example: `  kubectl uploads plan album -n family
  kubectl uploads plan album -n family --refresh=false -o yaml`,
		Args: name,
	}
	cluster := forCluster(c)
	c.ValidArgsFunction = cluster.tenantArgs
	c.Flags().BoolVar(&opts.Refresh, "refresh", true, "ask for a new look first; without it, the plan is that of the last look")
	c.Flags().DurationVar(&opts.Timeout, "timeout", 2*time.Minute, "wait at most so long for the new look")
	outputFlag(c, &opts.Output, false)
	c.RunE = cluster.run(func(ctx context.Context, s *uploadsctl.Session, args []string) error {
		opts.Name = args[0]
		return s.Plan(ctx, opts)
	})
	return c
}

func doctorCommand() *cobra.Command {
	var out uploadsctl.Output
	c := &cobra.Command{
		Use:   "doctor [NAME]",
		Short: "Check the installation, and a tenant when it is named, and say what to do",
		Long: `Check the API server and its clock, the CRDs, the manager, every CloudAccount and the issuer of the cluster. With NAME also
the tenant's conditions, the signer's pods and Service, whether OSS can reach callback.url and a signer answers there, the
address for uploads, and whether OSS and the signer let pages of the declared origins upload. Addresses are judged from this
machine. What you may not read is left out and said so.

Exit status: 0 when no check failed, 1 when one did, 2 when that cannot be told.`,
		Example: `  kubectl uploads doctor
  kubectl uploads doctor album -n family
  kubectl uploads doctor album -n family -o json`,
		Args: cobra.MaximumNArgs(1),
	}
	cluster := forCluster(c)
	c.ValidArgsFunction = cluster.tenantArgs
	outputFlag(c, &out, false)
	c.RunE = cluster.run(func(ctx context.Context, s *uploadsctl.Session, args []string) error {
		tenant := ""
		if len(args) == 1 {
			tenant = args[0]
		}
		return doctor.New(s).Run(ctx, tenant, out)
	})
	return c
}

func versionCommand() *cobra.Command {
	var clientOnly bool
	var out uploadsctl.Output
	c := &cobra.Command{
		Use:   "version",
		Short: "Show the versions of this plugin, of Kubernetes and of the manager",
		Example: `  kubectl uploads version
  kubectl uploads version --client -o json`,
		Args: cobra.NoArgs,
	}
	cluster := forCluster(c)
	c.Flags().BoolVar(&clientOnly, "client", false, "do not ask the cluster")
	outputFlag(c, &out, false)
	c.RunE = func(c *cobra.Command, _ []string) error {
		v := uploadsctl.ClientVersion(debug.ReadBuildInfo)
		if clientOnly {
			s := &uploadsctl.Session{Out: c.OutOrStdout(), Log: c.ErrOrStderr()}
			return s.PrintVersion(c.Context(), v, true, out)
		}
		s, err := cluster.session(c)
		if err != nil {
			return err
		}
		return s.PrintVersion(c.Context(), v, false, out)
	}
	return c
}

func orphansCommand() *cobra.Command {
	var opts uploadsctl.OrphansOptions
	c := &cobra.Command{
		Use:   "orphans",
		Short: "Show the RAM roles and policies of this cluster that no tenant holds any more",
		Long: `Ask the manager to search every CloudAccount for RAM roles and policies that this cluster made and whose tenant is gone, and
show what it found. A tenant whose namespace or CRD was deleted leaves them behind on purpose. Nothing is removed: a tenant
that is applied again takes them back.

Exit status: 0 when there are none, 1 when there are some, 2 when that cannot be told.`,
		Example: `  kubectl uploads orphans
  kubectl uploads orphans --refresh=false -o json`,
		Args: cobra.NoArgs,
	}
	cluster := forCluster(c)
	c.Flags().BoolVar(&opts.Refresh, "refresh", true, "ask for a new search first; without it, the last of the hourly ones counts")
	c.Flags().DurationVar(&opts.Timeout, "timeout", 2*time.Minute, "wait at most so long for each account's search")
	outputFlag(c, &opts.Output, false)
	c.RunE = cluster.run(func(ctx context.Context, s *uploadsctl.Session, _ []string) error {
		return s.Orphans(ctx, opts)
	})
	return c
}
