package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// commandEnd is how long a command may take to end after it was asked to.
const commandEnd = 5 * time.Second

// command prepares one banyan command. When ctx ends it gets SIGTERM, later SIGKILL; when this
// process is killed its standard input ends, and so does it.
func (d *demo) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, d.cfg.Banyan, args...)
	cmd.Env = d.env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = commandEnd
	if _, err := cmd.StdinPipe(); err != nil { // closed by Wait
		return nil, fmt.Errorf("run banyan %s: %w", args[0], err)
	}
	return cmd, nil
}

// banyan prints and runs a command, shows what it says, and returns that.
func (d *demo) banyan(ctx context.Context, args ...string) (string, error) {
	d.shell(args)
	cmd, err := d.command(ctx, args...)
	if err != nil {
		return "", err
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, d.cfg.Out), &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run banyan %s: %w: %s", args[0], err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

// foreground prints a command and gives it the terminal.
func (d *demo) foreground(ctx context.Context, args ...string) error {
	d.shell(args)
	cmd, err := d.command(ctx, args...)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = d.cfg.Out, d.cfg.Err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run banyan %s: %w", args[0], err)
	}
	return nil
}

// shell prints a command as a user would type it.
func (d *demo) shell(args []string) {
	d.say("$ %s %s", shown(d.cfg.Banyan), strings.Join(args, " "))
}
