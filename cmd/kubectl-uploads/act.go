package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

func reconcileCommand() *cobra.Command {
	var opts uploadsctl.WaitOptions
	c := &cobra.Command{
		Use:   "reconcile NAME",
		Short: "Have the controller look at the cloud now, and wait for it",
		Long: `Ask the controller for a fresh look at everything of the tenant, in the cloud and in the cluster, and wait until it has had
it and the tenant has settled. It would look by itself at every reconcileInterval.

Exit status: 0 when the tenant is ready then, 1 when it is not, 2 when the controller did not act.`,
		Example: `  kubectl uploads reconcile album -n family
  kubectl uploads reconcile album -n family --timeout 5m
  kubectl uploads reconcile album -n family --wait=false`,
		Args: name,
	}
	cluster := forCluster(c)
	c.ValidArgsFunction = cluster.tenantArgs
	waitFlags(c, &opts, "the controller has acted and the tenant has settled")
	c.RunE = cluster.run(func(ctx context.Context, s *uploadsctl.Session, args []string) error {
		return s.Reconcile(ctx, args[0], opts)
	})
	return c
}

func pauseCommand() *cobra.Command {
	var opts uploadsctl.WaitOptions
	c := &cobra.Command{
		Use:   "pause NAME",
		Short: "Have the controller leave a tenant alone; uploads go on",
		Long: `Set managementPolicy Paused: the controller neither looks nor writes, and deleting the tenant waits. The signer goes on
serving. "resume" goes back to the policy from before. Where a tool such as Flux or Argo CD applies the tenant from git, change
it there, or the tool undoes this.`,
		Example: `  kubectl uploads pause album -n family`,
		Args:    name,
	}
	cluster := forCluster(c)
	c.ValidArgsFunction = cluster.tenantArgs
	waitFlags(c, &opts, "the controller has taken notice")
	c.RunE = cluster.run(func(ctx context.Context, s *uploadsctl.Session, args []string) error {
		return s.Pause(ctx, args[0], opts)
	})
	return c
}

func resumeCommand() *cobra.Command {
	var opts uploadsctl.WaitOptions
	c := &cobra.Command{
		Use:   "resume NAME",
		Short: "End a pause, with the management policy from before it",
		Long: `Go back to the managementPolicy from before "pause", Full when it is not known, and wait until the tenant has settled.

Exit status: 0 when the tenant is ready then, 1 when it is not, 2 when the controller did not act.`,
		Example: `  kubectl uploads resume album -n family`,
		Args:    name,
	}
	cluster := forCluster(c)
	c.ValidArgsFunction = cluster.tenantArgs
	waitFlags(c, &opts, "the controller has acted and the tenant has settled")
	c.RunE = cluster.run(func(ctx context.Context, s *uploadsctl.Session, args []string) error {
		return s.Resume(ctx, args[0], opts)
	})
	return c
}

func deadLettersCommand() *cobra.Command {
	var all bool
	var out uploadsctl.Output
	c := &cobra.Command{
		Use:     "dead-letters NAME [list | show ID | replay ID... | replay --all]",
		Aliases: []string{"dead-letter"},
		Short:   "Show the events that were given up, and have them delivered again",
		Long: `Show the events that the application did not take for 24 hours, and make them due again once it does.

They hold what users uploaded, so the signer gives them to a port-forward only: you need the right to create pods/portforward
in the tenant's namespace, which the role edit has.`,
		Example: `  kubectl uploads dead-letters album -n family
  kubectl uploads dead-letters album -n family show 01m80v2x3k
  kubectl uploads dead-letters album -n family replay 01m80v2x3k
  kubectl uploads dead-letters album -n family replay --all`,
		Args: func(_ *cobra.Command, args []string) error { return checkDeadLetters(args, all) },
	}
	cluster := forCluster(c)
	c.ValidArgsFunction = func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return []string{"list", "show", "replay"}, cobra.ShellCompDirectiveNoFileComp
		}
		return cluster.tenantArgs(c, args, prefix)
	}
	c.Flags().BoolVar(&all, "all", false, "replay all dead letters")
	outputFlag(c, &out, false)
	c.RunE = cluster.run(func(ctx context.Context, s *uploadsctl.Session, args []string) error {
		letters := &uploadsctl.DeadLetters{Session: s, Tenant: args[0], Dial: s.Forward}
		switch verb(args) {
		case "show":
			return letters.Show(ctx, args[2], out)
		case "replay":
			return letters.Replay(ctx, args[2:])
		}
		return letters.List(ctx, out)
	})
	return c
}

func verb(args []string) string {
	if len(args) < 2 {
		return "list"
	}
	return args[1]
}

// checkDeadLetters refuses what could replay more or less than was meant.
func checkDeadLetters(args []string, all bool) error {
	if len(args) == 0 {
		return errors.New("name a tenant, as in: kubectl uploads dead-letters album -n family")
	}
	ids := len(args) - 2
	switch v := verb(args); {
	case v == "list" && ids <= 0 && !all:
		return nil
	case v == "show" && ids == 1 && !all:
		return nil
	case v == "replay" && (ids > 0) != all:
		return nil
	case v == "list":
		return errors.New("list takes nothing more")
	case v == "show":
		return errors.New("show takes one ID; `list` shows them")
	case v == "replay":
		return errors.New("replay takes either IDs or --all; `list` shows them")
	default:
		return fmt.Errorf("there is no %q: use list, show or replay", v)
	}
}
