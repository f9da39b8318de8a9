package router

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func TestFilePaths(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	below := strings.TrimPrefix(filepath.ToSlash(wd), "/")
	r, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]string{
		"file:///a/b/c":           "a/b/c",
		"file://localhost/a/b":    "a/b",
		"/a/b//../c":              "a/c",
		"/a/b/":                   "a/b/",
		"file:///a/*.js?nl":       "a/*.js?nl",
		"file:///a/100%25/ü b":    "a/100%25/ü b",
		"x/y":                     below + "/x/y",
		"./x/":                    below + "/x/",
		"/":                       "",
		"file:///a/../../etc/pwd": "etc/pwd",
	} {
		b, key, err := r.Open(uri)
		if err != nil || key != want || b == nil {
			t.Errorf("open %q: key %q, %v; want %q", uri, key, err, want)
		}
	}
}

func TestBadURIsNameTheFix(t *testing.T) {
	r, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for uri, part := range map[string]string{
		"":                 "empty path",
		"file://a/b":       "file:///path",
		"gs://bucket/key":  "unknown scheme",
		"s3:///key":        "s3://bucket/key",
		"s3://bucket/some": `no store named "default"`,
	} {
		if _, _, err := r.Open(uri); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("open %q: %v, want %q", uri, err, part)
		}
	}
	_, err = New([]*pb.Store{{Name: "default", Endpoint: "nonsense"}})
	if err == nil || !strings.Contains(err.Error(), "stores.default: endpoint") {
		t.Errorf("bad endpoint: %v", err)
	}
}

// Credentials are read on first use of S3, so that a run of local files needs none.
func TestCredentialsAreReadLate(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	r, err := New([]*pb.Store{{Name: "default", Endpoint: "http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Open("/tmp/x"); err != nil {
		t.Error(err)
	}
	_, _, err = r.Open("s3://b/k")
	if err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("got %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	if _, key, err := r.Open("s3://b/k/l"); err != nil || key != "k/l" {
		t.Errorf("key %q, %v", key, err)
	}
}
