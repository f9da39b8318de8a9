package checkpoint

import (
	"context"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/manifest"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/router"
	"github.com/banyan-train/banyan/store/storetest"
)

// s3Opener opens s3:// URIs on the server, with one bucket made.
func s3Opener(t testing.TB, srv *storetest.Server, bucket string) store.Opener {
	t.Helper()
	r, err := router.New([]*pb.Store{{Name: router.Default, Endpoint: srv.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.MakeBucket(context.Background(), bucket); err != nil {
		t.Fatal(err)
	}
	return r
}

func BenchmarkWriteShardS3(b *testing.B) {
	benchWrite(b, s3Opener(b, storetest.StartServer(b), "ckpt"), "s3://ckpt/x")
}

func BenchmarkWriteShardFile(b *testing.B) {
	op, to := openers(b)
	benchWrite(b, op, to)
}

func benchWrite(b *testing.B, op store.Opener, to string) {
	parts := []Part{part(0, manifest.KindParam, 0, 32<<20)} // 128 MiB
	b.SetBytes(128 << 20)
	for b.Loop() {
		if _, err := WriteShard(context.Background(), op, to, 0, parts, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestoreS3(b *testing.B) {
	op := s3Opener(b, storetest.StartServer(b), "ckpt")
	const n = 32 << 20
	ctx, dir := context.Background(), Dir("s3://ckpt/x", "run", 1, 1)
	var parts []Part
	for _, kind := range manifest.Kinds() {
		parts = append(parts, part(0, kind, 0, n))
	}
	s, err := WriteShard(ctx, op, dir, 0, parts, nil)
	if err != nil {
		b.Fatal(err)
	}
	m, err := manifest.Build(manifest.Manifest{
		Run: "run", Step: 1, Units: []manifest.Unit{{Name: "u", Size: n}}, Model: []byte("{}"),
	}, []manifest.Shard{s})
	if err != nil {
		b.Fatal(err)
	}
	uri, digest, err := Commit(ctx, op, dir, m)
	if err != nil {
		b.Fatal(err)
	}
	r := open(b, op, uri, digest)
	dst := make([]float32, n)
	b.SetBytes(4 * n)
	for b.Loop() {
		if err := r.Read(ctx, 0, manifest.KindParam, 0, n, dst); err != nil {
			b.Fatal(err)
		}
	}
}
