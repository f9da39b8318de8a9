package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/banyan-train/banyan/store"
)

// Backend is what a backend brings to be tested.
type Backend struct {
	Bucket  store.Bucket // all keys used start with Prefix
	Missing store.Bucket // a bucket that does not exist
	Prefix  string       // "" or ends with a slash; fresh for every call of Run
	Large   int          // bytes of a body that takes the backend's path for large ones
}

// Run checks that the backend keeps every promise of store.Bucket.
func Run(t *testing.T, b Backend) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Backend)
	}{
		{"RoundTrip", roundTrip},
		{"Large", large},
		{"Overwrite", overwrite},
		{"TestI1_IfAbsent", ifAbsent},
		{"TestI1_RacingCreatesHaveOneWinner", race},
		{"ReadPastTheEnd", pastEnd},
		{"PinnedReads", pinned},
		{"WrongSize", wrongSize},
		{"List", list},
		{"Delete", remove},
		{"NotFound", notFound},
		{"NoBucket", noBucket},
		{"Cancelled", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine := b
			mine.Prefix += strings.ToLower(c.name) + "/"
			c.test(t, mine)
		})
	}
}

// Bytes makes n reproducible bytes.
func Bytes(n int, seed uint64) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	p := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}

func put(t *testing.T, b Backend, key string, data []byte) store.Info {
	t.Helper()
	n := int64(len(data))
	info, err := b.Bucket.Put(context.Background(), b.Prefix+key, bytes.NewReader(data), n, false)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return info
}

func get(t *testing.T, b Backend, key string, off int64, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if err := b.Bucket.ReadRange(context.Background(), b.Prefix+key, off, p, ""); err != nil {
		t.Fatalf("read %s at %d: %v", key, off, err)
	}
	return p
}

func want(t *testing.T, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("got error %v, want one that is %q", err, class)
	}
}

func roundTrip(t *testing.T, b Backend) {
	for _, n := range []int{0, 1, 1000, 1 << 20} {
		key := fmt.Sprintf("deep/er/of-%d bytes+ü", n)
		data := Bytes(n, uint64(n))
		info := put(t, b, key, data)
		if info.Key != b.Prefix+key || info.Size != int64(n) || info.ETag == "" {
			t.Errorf("put %d bytes: %+v", n, info)
		}
		if !bytes.Equal(get(t, b, key, 0, n), data) {
			t.Errorf("%d bytes came back changed", n)
		}
		if lo := n / 3; !bytes.Equal(get(t, b, key, int64(lo), n/2), data[lo:lo+n/2]) {
			t.Errorf("range of %d bytes came back changed", n)
		}
		st, err := b.Bucket.Stat(context.Background(), b.Prefix+key)
		if err != nil || st != info {
			t.Errorf("stat: %+v, %v; put said %+v", st, err, info)
		}
	}
}

// plain hides that a reader can do more than read and seek.
type plain struct{ io.ReadSeeker }

func large(t *testing.T, b Backend) {
	data := Bytes(b.Large, 3)
	ctx, n := context.Background(), int64(len(data))
	for i, body := range []io.ReadSeeker{bytes.NewReader(data), plain{bytes.NewReader(data)}} {
		key := fmt.Sprintf("%slarge-%d", b.Prefix, i)
		info, err := b.Bucket.Put(ctx, key, body, n, true)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, n)
		if err := b.Bucket.ReadRange(ctx, key, 0, p, info.ETag); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, data) {
			t.Error("large body came back changed")
		}
		_, err = b.Bucket.Put(ctx, key, bytes.NewReader(data), n, true)
		want(t, err, store.ErrExists)
	}
}

func overwrite(t *testing.T, b Backend) {
	one := put(t, b, "k", []byte("first"))
	two := put(t, b, "k", []byte("second!"))
	if one.ETag == two.ETag {
		t.Error("another content has the same ETag")
	}
	if got := get(t, b, "k", 0, 7); string(got) != "second!" {
		t.Errorf("read %q", got)
	}
}

func ifAbsent(t *testing.T, b Backend) {
	ctx := context.Background()
	for i, text := range []string{"first", "again"} {
		_, err := b.Bucket.Put(ctx, b.Prefix+"k", strings.NewReader(text), 5, true)
		if i == 0 && err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			want(t, err, store.ErrExists)
		}
	}
	if got := get(t, b, "k", 0, 5); string(got) != "first" {
		t.Errorf("a refused Put left %q", got)
	}
}

func race(t *testing.T, b Backend) {
	const writers = 8
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			body := strings.NewReader(fmt.Sprintf("writer %d", i))
			_, errs[i] = b.Bucket.Put(context.Background(), b.Prefix+"k", body, 8, true)
		})
	}
	wg.Wait()
	winner := slices.Index(errs, nil)
	for i, err := range errs {
		if i != winner {
			want(t, err, store.ErrExists)
		}
	}
	if got := get(t, b, "k", 0, 8); winner < 0 || string(got) != fmt.Sprintf("writer %d", winner) {
		t.Errorf("winner %d, content %q", winner, got)
	}
}

func pastEnd(t *testing.T, b Backend) {
	put(t, b, "k", []byte("0123456789"))
	for _, c := range []struct {
		off int64
		n   int
	}{{5, 6}, {10, 1}, {11, 1}, {1 << 40, 5}, {11, 0}} {
		err := b.Bucket.ReadRange(context.Background(), b.Prefix+"k", c.off, make([]byte, c.n), "")
		want(t, err, io.ErrUnexpectedEOF)
	}
	if err := b.Bucket.ReadRange(context.Background(), b.Prefix+"k", -1, nil, ""); err == nil {
		t.Error("negative offset accepted")
	}
}

func pinned(t *testing.T, b Backend) {
	ctx := context.Background()
	old := put(t, b, "k", []byte("0123456789"))
	for range 2 {
		p := make([]byte, 4)
		err := b.Bucket.ReadRange(ctx, b.Prefix+"k", 3, p, old.ETag)
		if err != nil || string(p) != "3456" {
			t.Fatalf("pinned read: %q, %v", p, err)
		}
	}
	put(t, b, "k", []byte("012345678X")) // same size
	want(t, b.Bucket.ReadRange(ctx, b.Prefix+"k", 3, make([]byte, 4), old.ETag), store.ErrChanged)
	want(t, b.Bucket.ReadRange(ctx, b.Prefix+"k", 0, nil, old.ETag), store.ErrChanged)
}

func wrongSize(t *testing.T, b Backend) {
	ctx := context.Background()
	for _, n := range []int64{4, 6} {
		if _, err := b.Bucket.Put(ctx, b.Prefix+"k", strings.NewReader("12345"), n, false); err == nil {
			t.Errorf("5 bytes announced as %d were accepted", n)
		}
	}
	_, err := b.Bucket.Stat(ctx, b.Prefix+"k")
	want(t, err, store.ErrNotFound)
}

func list(t *testing.T, b Backend) {
	var keys []string
	for _, k := range []string{"a/1", "a-b", "a/0/x", "b", "aa"} {
		put(t, b, k, []byte(k))
		keys = append(keys, b.Prefix+k)
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/0", "a/0/x", "b", "none", "none/"} {
		var expect []string
		for _, k := range keys {
			if strings.HasPrefix(k, b.Prefix+prefix) {
				expect = append(expect, k)
			}
		}
		infos, err := b.Bucket.List(context.Background(), b.Prefix+prefix)
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		var got []string
		for _, in := range infos {
			got = append(got, in.Key)
			if in.Size != int64(len(in.Key)-len(b.Prefix)) {
				t.Errorf("list: %s has %d bytes", in.Key, in.Size)
			}
		}
		if !slices.Equal(got, expect) {
			t.Errorf("list %q: %q, want %q", prefix, got, expect)
		}
	}
}

func remove(t *testing.T, b Backend) {
	ctx := context.Background()
	put(t, b, "dir/k", []byte("x"))
	put(t, b, "dir/other", []byte("y"))
	for range 2 { // the second time it is not there
		if err := b.Bucket.Delete(ctx, b.Prefix+"dir/k"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.Bucket.Stat(ctx, b.Prefix+"dir/k")
	want(t, err, store.ErrNotFound)
	get(t, b, "dir/other", 0, 1)
	if err := b.Bucket.Delete(ctx, b.Prefix+"dir/other"); err != nil {
		t.Fatal(err)
	}
	if left, err := b.Bucket.List(ctx, b.Prefix+"dir"); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	put(t, b, "dir/k", []byte("again"))
}

func notFound(t *testing.T, b Backend) {
	ctx := context.Background()
	_, err := b.Bucket.Stat(ctx, b.Prefix+"none")
	want(t, err, store.ErrNotFound)
	err = b.Bucket.ReadRange(ctx, b.Prefix+"none", 0, make([]byte, 1), "")
	want(t, err, store.ErrNotFound)
	if !strings.Contains(err.Error(), b.Prefix+"none") {
		t.Errorf("error does not name the object: %v", err)
	}
}

func noBucket(t *testing.T, b Backend) {
	ctx := context.Background()
	_, err := b.Missing.Stat(ctx, "k")
	want(t, err, store.ErrNoBucket)
	want(t, b.Missing.ReadRange(ctx, "k", 0, make([]byte, 1), ""), store.ErrNoBucket)
	_, err = b.Missing.Put(ctx, "k", strings.NewReader("x"), 1, false)
	want(t, err, store.ErrNoBucket)
	_, err = b.Missing.List(ctx, "")
	want(t, err, store.ErrNoBucket)
}

func cancelled(t *testing.T, b Backend) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := b.Bucket.Put(ctx, b.Prefix+"k", bytes.NewReader(Bytes(100, 1)), 100, false)
	want(t, err, context.Canceled)
	_, err = b.Bucket.Stat(context.Background(), b.Prefix+"k")
	want(t, err, store.ErrNotFound)
	put(t, b, "k", []byte("x"))
	want(t, b.Bucket.ReadRange(ctx, b.Prefix+"k", 0, make([]byte, 1), ""), context.Canceled)
	_, err = b.Bucket.List(ctx, b.Prefix)
	want(t, err, context.Canceled)
}
