// Command kubectl-uploads helps people who work with upload tenants. As a kubectl plugin it is called
// "kubectl uploads".
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/uploadtenant/uploadtenant/uploadsctl"
)

// Exit codes beside 0.
const (
	exitNo      = 1 // the answer is no: not ready, changes pending, a failed check
	exitTrouble = 2 // there is no answer: a wrong command line, no such cluster, a failure
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, uploadsctl.ErrNo):
		os.Exit(exitNo)
	default:
		fmt.Fprintf(os.Stderr, "kubectl-uploads: %v\n", err)
		os.Exit(exitTrouble)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	ctrl.SetLogger(logr.Discard()) // what a person should know, commands say themselves
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-uploads",
		Short: "Work with UploadTenants",
		Long: `Work with UploadTenants: look at them, ask the controller to act, find out what is wrong, and run one without a cluster.

Exit status: 0 yes or done; 1 no (not ready, changes pending, a check failed); 2 no answer (wrong command line, no cluster).`,
		Example: `  kubectl uploads status -A
  kubectl uploads doctor album -n family
  kubectl uploads dev -f config/samples/dev.yaml`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl uploads"},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddGroup(
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "act", Title: "Act:"},
		&cobra.Group{ID: "local", Title: "Without a cluster:"},
	)
	group := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("look", statusCommand(), planCommand(), doctorCommand(), orphansCommand(), versionCommand())
	group("act", reconcileCommand(), pauseCommand(), resumeCommand(), deadLettersCommand())
	group("local", devCommand())
	return root
}
