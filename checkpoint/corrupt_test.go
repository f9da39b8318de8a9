package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/storetest"
	"github.com/banyan-train/banyan/store/storetest/faulty"
)

// readAllUnits restores everything, as a world of one would.
func readAllUnits(r *Reader) error {
	for u, unit := range units() {
		for _, kind := range manifest.Kinds() {
			dst := make([]float32, unit.Size)
			if err := r.Read(context.Background(), u, kind, 0, unit.Size, dst); err != nil {
				return err
			}
		}
	}
	_, err := r.Curve(context.Background())
	return err
}

// Every way an object can be wrong on disk is refused, by name, by restore and by Verify.
func TestI4_DamagedObjectsAreRefused(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"flipped byte in the middle": func(t *testing.T, path string) { flip(t, path, 0.5) },
		"flipped last byte":          func(t *testing.T, path string) { flip(t, path, 1) },
		"truncated":                  func(t *testing.T, path string) { cut(t, path, 40) },
		"empty":                      func(t *testing.T, path string) { cut(t, path, 0) },
		"missing":                    func(t *testing.T, path string) { check(t, os.Remove(path)) },
	} {
		for _, key := range []string{"rank-1.safetensors", curveName, manifest.Name} {
			t.Run(name+" "+key, func(t *testing.T) {
				op, to := openers(t)
				uri, digest := write(t, op, to, 2, 1)
				object := strings.TrimSuffix(uri, manifest.Name) + key
				damage(t, strings.TrimPrefix(object, "file://"))
				r, err := Open(context.Background(), op, uri, digest)
				if key == manifest.Name {
					refused(t, err, object)
					return
				}
				check(t, err)
				refused(t, readAllUnits(r), object)
				refused(t, r.Verify(context.Background()), object)
			})
		}
	}
}

func refused(t *testing.T, err error, object string) {
	t.Helper()
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), object) ||
		!strings.Contains(err.Error(), "older checkpoint") {
		t.Errorf("got %v, want ErrCorrupt of %s", err, object)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string, size int64) {
	t.Helper()
	check(t, os.Truncate(path, size))
}

func flip(t *testing.T, path string, where float64) {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	data[int(where*float64(len(data)-1))] ^= 0x10
	check(t, os.WriteFile(path, data, 0o600))
}

// A byte that lies in no segment (the header) changes the object, though no restore would see it.
func TestI4_VerifySeesTheHeaderToo(t *testing.T) {
	op, to := openers(t)
	uri, digest := write(t, op, to, 1, 1)
	object := strings.TrimSuffix(uri, manifest.Name) + "rank-0.safetensors"
	flip(t, strings.TrimPrefix(object, "file://"), 0)
	r := open(t, op, uri, digest)
	refused(t, r.Verify(context.Background()), object)
}

// A manifest whose segments do not say what their object holds is found out by Verify.
func TestI4_VerifyChecksSegments(t *testing.T) {
	op, to := openers(t)
	uri, digest := write(t, op, to, 1, 1)
	m := open(t, op, uri, digest).Manifest()
	segments := m.Shards[0].Segments
	segments[5].SHA256 = segments[4].SHA256
	uri, digest, err := Commit(context.Background(), op, Dir(to, "run", 40, 2)+"0", m)
	check(t, err)
	for _, key := range []string{"rank-0.safetensors", curveName} {
		from := strings.TrimPrefix(Dir(to, "run", 40, 2), "file://") + "/" + key
		check(t, os.Rename(from, strings.Replace(from, "/gen-2/", "/gen-20/", 1)))
	}
	err = open(t, op, uri, digest).Verify(context.Background())
	refused(t, err, "gen-20/rank-0.safetensors")
	if err == nil || !strings.Contains(err.Error(), "elements [") {
		t.Errorf("got %v", err)
	}
}

// One bad transfer is read again; a store that keeps returning bad bytes is refused.
func TestI4_BadTransfers(t *testing.T) {
	op, to := openers(t)
	uri, digest := write(t, op, to, 1, 1)
	r := open(t, op, uri, digest)
	dst := make([]float32, 10)
	ctx := context.Background()
	op.Add(faulty.Rule{Op: faulty.Read, Key: "rank-0", Nth: 1, Fault: faulty.FlipBit(4321)})
	if err := r.Read(ctx, 1, manifest.KindParam, 0, 10, dst); err != nil {
		t.Errorf("one flipped bit on the way: %v", err)
	}
	op.Clear()
	op.Add(faulty.Rule{Op: faulty.Read, Key: "rank-0", Fault: faulty.FlipBit(4321)})
	refused(t, r.Read(ctx, 1, manifest.KindParam, 0, 10, dst), "rank-0.safetensors")
	op.Clear()
	op.Add(faulty.Rule{Op: faulty.Read, Fault: faulty.Truncate()})
	refused(t, r.Read(ctx, 1, manifest.KindParam, 0, 10, dst), "rank-0.safetensors")
}

// A store that is away does not make a checkpoint corrupt.
func TestUnreachableIsNotCorrupt(t *testing.T) {
	op, to := openers(t)
	uri, digest := write(t, op, to, 1, 1)
	r := open(t, op, uri, digest)
	for _, class := range []error{store.ErrUnreachable, store.ErrDenied} {
		op.Clear()
		op.Add(faulty.Rule{Fault: faulty.Fault{Err: class}})
		for _, err := range []error{readAllUnits(r), r.Verify(context.Background())} {
			if errors.Is(err, ErrCorrupt) || !errors.Is(err, class) {
				t.Errorf("got %v, want %v", err, class)
			}
		}
		if _, err := Open(context.Background(), op, uri, digest); errors.Is(err, ErrCorrupt) {
			t.Errorf("open: %v", err)
		}
	}
	op.Clear()
	op.Add(faulty.Rule{Op: faulty.Read, Fault: faulty.Fault{Hang: true}})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := r.Read(ctx, 0, manifest.KindM, 0, 10, make([]float32, 10))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging store: %v", err)
	}
}

// A failed upload leaves no shard and no claim of one.
func TestWriteShardFails(t *testing.T) {
	op, to := openers(t)
	full := errors.New("no space left on device")
	op.Add(faulty.Rule{Op: faulty.Put, Fault: faulty.Fault{Err: full}})
	good := []Part{part(1, manifest.KindM, 0, 10)}
	_, err := WriteShard(context.Background(), op, to, 0, good, nil)
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	for _, p := range []Part{
		{Unit: -1, Kind: manifest.KindM}, {Kind: "x"}, {Kind: manifest.KindM, Start: -1},
	} {
		if _, err := WriteShard(context.Background(), op, to, 0, []Part{p}, nil); err == nil {
			t.Errorf("part %+v accepted", p)
		}
	}
}

// The view of a shard gives the same bytes however it is read.
func TestViewReadsAnyRange(t *testing.T) {
	v := newView([]byte("head5"), [][]float32{{1, 2, 3}, {}, {4.5}})
	whole := make([]byte, v.size)
	if n, err := v.ReadAt(whole, 0); n != 21 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for lo := range whole {
		for hi := lo; hi <= len(whole); hi++ {
			p := make([]byte, hi-lo)
			n, err := v.ReadAt(p, int64(lo))
			if n != len(p) || err != nil || !bytes.Equal(p, whole[lo:hi]) {
				t.Fatalf("bytes %d..%d: %d, %v, %x, want %x", lo, hi, n, err, p, whole[lo:hi])
			}
		}
	}
}

// The same on a real S3 server.
func TestI4_OverS3(t *testing.T) {
	srv := storetest.StartServer(t)
	op := s3Opener(t, srv, "ckpt")
	uri, digest := write(t, op, "s3://ckpt/deep", 2, 1)
	r := open(t, op, uri, digest)
	if err := readAllUnits(r); err != nil {
		t.Error(err)
	}
	if err := r.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	object := "deep/run/step-00000040/gen-2/rank-1.safetensors"
	flip(t, srv.Dir+"/ckpt/"+object, 0.7)
	refused(t, readAllUnits(r), "s3://ckpt/"+object)
	dir := strings.TrimSuffix(uri, "/"+manifest.Name)
	if err := Delete(context.Background(), op, dir); err != nil {
		t.Error(err)
	}
	if _, err := Open(context.Background(), op, uri, digest); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a committed checkpoint without a manifest: %v", err)
	}
}
