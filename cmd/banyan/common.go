package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/internal/local"
)

// resolveTimeout bounds a call that reads and pins a run's inputs: local corpora are hashed whole.
const resolveTimeout = 6 * time.Minute

// callTimeout bounds a command that asks the cluster one thing; a leader change fits in.
const callTimeout = 10 * time.Second

func dial(cmd *cobra.Command) (*client.Client, error) {
	list, err := cmd.Flags().GetString("addr")
	if err != nil {
		return nil, err
	}
	return client.New(client.Addresses(list))
}

// withClient runs one call against the cluster.
func withClient(cmd *cobra.Command, fn func(context.Context, *client.Client) error) error {
	return withClientFor(cmd, callTimeout, fn)
}

func withClientFor(cmd *cobra.Command, limit time.Duration,
	fn func(context.Context, *client.Client) error,
) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	if limit > callTimeout { // a long call looks for a leader as long, and says nothing meanwhile
		ctx, cancel := context.WithTimeout(cmd.Context(), callTimeout)
		_, err := c.Workers(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), limit)
	defer cancel()
	return fn(ctx, c)
}

// args checks the number of arguments as a usage error.
func args(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if len(given) != n {
			return fmt.Errorf("%w: %s %s", errUsage, cmd.CommandPath(), what)
		}
		return nil
	}
}

// printJSON prints one protobuf message as a line of JSON.
func printJSON(w io.Writer, m proto.Message) error {
	b, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	var compact json.RawMessage = b
	line, err := json.Marshal(compact) // protojson varies its spaces; this does not
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}

func logger() zerolog.Logger {
	level := zerolog.InfoLevel
	if l, err := zerolog.ParseLevel(os.Getenv("BANYAN_LOG")); err == nil && l != zerolog.NoLevel {
		level = l
	}
	zerolog.TimeFieldFormat = time.RFC3339Nano
	return zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()
}

var errParentGone = errors.New("parent process is gone")

// dieWithParent ends a command when the process that started it is gone: `up` (or a script that
// sets local.ParentPipe) holds the other end of our standard input. A rank inherits the variable,
// but its line to its worker is another one.
func dieWithParent(cmd *cobra.Command, _ []string) {
	if os.Getenv(local.ParentPipe) == "" || cmd.Name() == rankName {
		return
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	cmd.SetContext(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel(errParentGone)
	}()
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
