package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/uploadtenant/uploadtenant/devmode"
	"github.com/uploadtenant/uploadtenant/devmode/console"
	"github.com/uploadtenant/uploadtenant/devmode/manifest"
)

func devCommand() *cobra.Command {
	var file string
	var verbose bool
	opts := devmode.Options{}
	c := &cobra.Command{
		Use:   "dev -f FILE",
		Short: "Run a tenant on this machine: emulated OSS, RAM and STS, and the real signer",
		Long: `Run an UploadTenant on this machine without a cluster, against an emulated OSS, RAM and STS. Callers are
"Authorization: Bearer dev:<user>". It prints what to paste to upload a file, and ends with Ctrl-C.`,
		Example: `  kubectl uploads dev -f config/samples/dev.yaml
  kubectl uploads dev -f tenant.yaml --addr 127.0.0.1:8080 --oss-addr 127.0.0.1:9000 --data .cache/dev`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unexpected argument %q; name the file with -f", args[0])
			}
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVarP(&file, "filename", "f", "", "`FILE` with an UploadTenant and, optionally, its CloudAccount and Secrets; - reads standard input")
	flags.StringVar(&opts.Addr, "addr", "127.0.0.1:8080", "`HOST:PORT` of the signer")
	flags.StringVar(&opts.OSSAddr, "oss-addr", "127.0.0.1:9000", "`HOST:PORT` of the emulated OSS")
	flags.StringVar(&opts.APIAddr, "api-addr", "127.0.0.1:0", "`HOST:PORT` of the emulated RAM and STS; port 0 takes a free one")
	flags.StringVar(&opts.OpsAddr, "ops-addr", "127.0.0.1:0", "`HOST:PORT` of the signer's health and metrics; port 0 takes a free one")
	flags.StringVar(&opts.DataDir, "data", "", "`DIR` that survives a restart; without it everything stays in memory")
	flags.StringVar(&opts.UploadURL, "upload-url", "", "base `URL` of the emulated OSS as clients see it, for example http://192.168.1.20:9000 for a phone (default: from --oss-addr)")
	flags.BoolVarP(&verbose, "verbose", "v", false, "log more: debugging lines, request ids and durations")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if file == "" {
			return errors.New("-f FILE is missing, for example: kubectl-uploads dev -f config/samples/dev.yaml")
		}
		opts.Logger = logger(c.ErrOrStderr(), verbose)
		return dev(c, file, opts)
	}
	return c
}

// dev runs one tenant until the command's context ends.
func dev(c *cobra.Command, file string, opts devmode.Options) error {
	start, ctx, stdout := time.Now(), c.Context(), c.OutOrStdout()
	var err error
	if opts.Manifest, err = parse(ctx, file, c.InOrStdin()); err != nil {
		return err
	}
	for _, ignored := range opts.Manifest.Ignored {
		opts.Logger.Info("not needed without a cluster, ignored", "document", ignored)
	}
	server, err := devmode.Start(ctx, opts)
	if err != nil {
		return err
	}
	fmt.Fprint(stdout, server.Guide(time.Since(start)))
	err = server.Wait(ctx)
	fmt.Fprintln(stdout, "stopped")
	return err
}

func parse(ctx context.Context, file string, in io.Reader) (*manifest.Manifest, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	m, err := manifest.Parse(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

// logger writes for people; request ids and durations only on demand.
func logger(w io.Writer, verbose bool) *slog.Logger {
	if verbose {
		return slog.New(console.New(w, console.Options{Level: slog.LevelDebug}))
	}
	return slog.New(console.New(w, console.Options{Hide: []string{"requestId", "requestID", "took"}}))
}
