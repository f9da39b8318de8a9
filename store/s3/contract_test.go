package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/storetest"
)

func connect(t testing.TB, srv *storetest.Server, cfg Config) *Client {
	t.Helper()
	cfg.Endpoint = srv.Endpoint
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The contract on a real server, for both checksum settings.
func TestContract(t *testing.T) {
	srv := storetest.StartServer(t)
	for _, sums := range []string{"when_supported", "when_required"} {
		t.Run(sums, func(t *testing.T) {
			c := connect(t, srv, Config{Checksums: sums})
			c.multipartFrom, c.partSize = 6<<20, 5<<20 // the least that S3 takes
			name := "contract-" + strings.ReplaceAll(sums, "_", "-")
			for range 2 { // the second time it exists
				if err := c.MakeBucket(context.Background(), name); err != nil {
					t.Fatal(err)
				}
			}
			storetest.Run(t, storetest.Backend{
				Bucket:  c.Bucket(name),
				Missing: c.Bucket("none-such"),
				Large:   12345678,
			})
		})
	}
}

func TestI12_DeniedNamesNoSecret(t *testing.T) {
	srv := storetest.StartServer(t)
	if err := connect(t, srv, Config{}).MakeBucket(context.Background(), "ckpt"); err != nil {
		t.Fatal(err)
	}
	for _, v := range [][2]string{
		{"somebody-else", "hunter2hunter2"}, {"banyan-test", "hunter2hunter2"},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", v[0])
		t.Setenv("AWS_SECRET_ACCESS_KEY", v[1])
		_, err := connect(t, srv, Config{}).Bucket("ckpt").Stat(context.Background(), "k")
		if !errors.Is(err, store.ErrDenied) {
			t.Fatalf("got %v", err)
		}
		for _, part := range []string{"s3://ckpt/k", srv.Endpoint, "AWS_SECRET_ACCESS_KEY"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q lacks %q", err, part)
			}
		}
		if strings.Contains(err.Error(), v[1]) || strings.Contains(err.Error(), "somebody") {
			t.Errorf("%q repeats a credential", err)
		}
	}
}

// An upload that fails half way leaves no parts on the server.
func TestFailedUploadIsAborted(t *testing.T) {
	srv := storetest.StartServer(t)
	c := connect(t, srv, Config{})
	ctx := context.Background()
	if err := c.MakeBucket(ctx, "ckpt"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	body := &cancelling{bytes.NewReader(make([]byte, multipartFrom)), cancel, multipartFrom / 2}
	_, err := c.Bucket("ckpt").Put(ctx, "k", body, multipartFrom, true)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	name := "ckpt"
	out, err := c.api.ListMultipartUploads(context.Background(),
		&s3.ListMultipartUploadsInput{Bucket: &name})
	if err != nil || len(out.Uploads) != 0 {
		t.Errorf("uploads left: %v, %v", out.Uploads, err)
	}
	if _, err := c.Bucket("ckpt").Stat(context.Background(), "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("object of a cancelled upload: %v", err)
	}
}

// cancelling ends the context once this many bytes have been read.
type cancelling struct {
	*bytes.Reader
	cancel context.CancelFunc
	after  int64
}

func (c *cancelling) ReadAt(p []byte, off int64) (int, error) {
	if off > c.after {
		c.cancel()
	}
	return c.Reader.ReadAt(p, off)
}

// More objects than one answer of the server holds.
func TestListPages(t *testing.T) {
	srv := storetest.StartServer(t)
	c := connect(t, srv, Config{})
	ctx := context.Background()
	if err := c.MakeBucket(ctx, "pages"); err != nil {
		t.Fatal(err)
	}
	b := c.Bucket("pages")
	const n = 1100
	for i := range n { // the server's objects are files
		dir := filepath.Join(srv.Dir, "pages", fmt.Sprintf("d%d", i%3))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, fmt.Sprintf("k%04d", i))
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := b.List(ctx, "")
	if err != nil || len(all) != n {
		t.Fatalf("listed %d of %d: %v", len(all), n, err)
	}
}

// A server that dies and comes back within the tries is not noticed; one that stays away is named.
func TestServerRestart(t *testing.T) {
	srv := storetest.StartServer(t)
	ctx := context.Background()
	if err := connect(t, srv, Config{}).MakeBucket(ctx, "ckpt"); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	_, err := connect(t, srv, Config{Tries: 2}).Bucket("ckpt").Stat(ctx, "k")
	if !errors.Is(err, store.ErrUnreachable) || !strings.Contains(err.Error(), srv.Endpoint) {
		t.Fatalf("dead server: %v", err)
	}
	done := make(chan error, 1)
	patient := connect(t, srv, Config{Tries: 30})
	go func() {
		_, err := patient.Bucket("ckpt").Put(ctx, "k", strings.NewReader("x"), 1, true)
		done <- err
	}()
	storetest.StartServerAt(t, strings.TrimPrefix(srv.Endpoint, "http://"), srv.Dir)
	if err := <-done; err != nil {
		t.Errorf("put across a restart: %v", err)
	}
}

func BenchmarkPut64MiB(b *testing.B)  { benchmark(b, 64<<20, true) }
func BenchmarkPut32MiB(b *testing.B)  { benchmark(b, 32<<20, true) }
func BenchmarkRead64MiB(b *testing.B) { benchmark(b, 64<<20, false) }
func BenchmarkRead4MiB(b *testing.B)  { benchmark(b, 4<<20, false) }

func benchmark(b *testing.B, size int, up bool) {
	c := connect(b, storetest.StartServer(b), Config{})
	ctx := context.Background()
	if err := c.MakeBucket(ctx, "bench"); err != nil {
		b.Fatal(err)
	}
	bucket, data := c.Bucket("bench"), storetest.Bytes(size, 1)
	put := func() {
		_, err := bucket.Put(ctx, "k", bytes.NewReader(data), int64(size), false)
		if err != nil {
			b.Fatal(err)
		}
	}
	put()
	b.SetBytes(int64(size))
	for b.Loop() {
		if up {
			put()
		} else if err := bucket.ReadRange(ctx, "k", 0, data, ""); err != nil {
			b.Fatal(err)
		}
	}
}
