package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("s3server", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:9000", "loopback address; port 0 picks a free one")
	dir := flags.String("dir", "", "directory that holds the buckets (made if needed)")
	die := flags.Bool("die-with-parent", false, "exit when standard input ends")
	if err := flags.Parse(args); err != nil {
		return err
	}
	addr, err := loopback(*listen)
	if err != nil {
		return err
	}
	if *dir == "" {
		return fmt.Errorf("-dir is missing: name the directory that holds the buckets")
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return fmt.Errorf("make -dir: %w", err)
	}
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" {
		return fmt.Errorf("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: " +
			"clients must present the same")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if *die {
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
			time.Sleep(time.Second) // the server's own goodbye; a hung one is not waited for
			os.Exit(0)
		}()
	}
	if err := (meta.XattrMeta{}).Test(*dir); err != nil {
		return fmt.Errorf("-dir %s cannot hold user extended attributes: %w", *dir, err)
	}
	back, err := posix.New(*dir, meta.XattrMeta{}, posix.PosixOpts{Concurrency: 256})
	if err != nil {
		return fmt.Errorf("open -dir %s: %w", *dir, err)
	}
	go announce(ctx, addr, stdout)
	if os.Stdout, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil { // the library prints
		return err
	}
	return embedgw.RunVersityGW(ctx, back, &embedgw.Config{
		RootUserAccess: id, RootUserSecret: secret,
		Region:            "us-east-1",
		Ports:             []string{addr},
		MaxConnections:    4096,
		MaxRequests:       1024,
		MultipartMaxParts: 10000,
		Quiet:             true,
		KeepAlive:         true,
		DisableACLs:       true,
	})
}

// loopback checks the address and replaces port 0 by a free one.
func loopback(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("-listen %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", fmt.Errorf("-listen %q: only a loopback address, as there is no TLS", addr)
	}
	if port != "0" {
		return addr, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// announce prints the endpoint once the server takes connections.
func announce(ctx context.Context, addr string, w io.Writer) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			fmt.Fprintf(w, "listening http://%s\n", addr)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
