package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/banyan-train/banyan/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM,
		syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Printf("demo: FAIL: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("demo: PASS")
}

func run(ctx context.Context, args []string) error {
	cfg := demo.Config{Out: os.Stdout, Err: os.Stderr}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&cfg.Dir, "dir", ".demo", "folder for everything it writes; emptied first")
	flags.StringVar(&cfg.Banyan, "banyan", "bin/banyan", "banyan binary")
	flags.StringVar(&cfg.S3Server, "s3server", "bin/s3server", "s3server binary")
	flags.StringVar(&cfg.Examples, "examples", "examples", "folder of the shipped examples")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return demo.Run(ctx, cfg)
}
