package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/banyan-train/banyan/coordinator/spec"
)

// Version is set at build time.
var Version = "dev"

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2 // usage or invalid input
)

// Both kinds of error end a command with exitUsage.
var (
	errUsage = errors.New("usage")         // of the command line
	errInput = errors.New("invalid input") // of what it names
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends what does not look at the context
	err := interruption(ctx, root().ExecuteContext(ctx))
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "banyan: %s\n", message(err))
		os.Exit(exitCode(err))
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "banyan",
		Short:         "Distributed continued pretraining of LLaMA-family models",
		Version:       Version,
		SilenceUsage:  true,
		SilenceErrors: true,

		PersistentPreRun: dieWithParent,
	}
	cmd.PersistentFlags().String("addr", "",
		"coordinator addresses, comma-separated (default $BANYAN_ADDR, else 127.0.0.1:7070)")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w", errUsage, err)
	})
	cmd.AddCommand(upCommand(), coordinatorCommand(), workerCommand(), rankCommand(),
		planCommand(), launchCommand(), runsCommand(), watchCommand(), stopCommand(), resumeCommand(),
		workersCommand(), drainCommand(), statusCommand(), checkpointsCommand(), checkpointCommand(),
		modelCommand(), storeCommand(), tokenizerCommand(), dataCommand(), doctorCommand(),
		metricsCommand())
	onlySubcommands(cmd)
	return cmd
}

// interrupted says what a command leaves behind when a signal ends it.
type interrupted string

func (i interrupted) Error() string { return string(i) }

// interruption puts one word in the place of an error that only tells that ctx ended.
func interruption(ctx context.Context, err error) error {
	var said interrupted
	switch {
	case err == nil || ctx.Err() == nil || errors.As(err, &said):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.Cause(ctx)),
		status.Code(err) == codes.Canceled:
		return interrupted("interrupted")
	}
	return err
}

// message is what a person reads: gRPC's wrapping is not for people.
func message(err error) string {
	var invalid spec.Errors
	if errors.As(err, &invalid) {
		return invalid.Error()
	}
	if s, ok := status.FromError(err); ok && s.Code() != codes.Unknown {
		return s.Message()
	}
	return err.Error()
}

func exitCode(err error) int {
	var invalid spec.Errors
	switch {
	case errors.Is(err, errUsage), errors.Is(err, errInput), errors.As(err, &invalid):
		return exitUsage
	case status.Code(err) == codes.InvalidArgument:
		return exitUsage
	}
	return exitFailed
}
