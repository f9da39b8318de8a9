package router

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"sync"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
	"github.com/banyan-train/banyan/store/file"
	"github.com/banyan-train/banyan/store/s3"
)

var _ store.Opener = (*Router)(nil)

// Default is the name of the store that s3:// URIs go to.
const Default = "default"

// Router is a store.Opener over a run's stores. Safe for concurrent use.
type Router struct {
	files *file.Bucket
	cfg   *s3.Config // nil: no store is named "default"

	mu     sync.Mutex
	client *s3.Client
}

// New checks the stores of a spec. It makes no connection and reads no credentials.
func New(stores []*pb.Store) (*Router, error) {
	r := &Router{files: file.New("/")}
	for _, st := range stores {
		cfg := s3.Config{
			Endpoint:    st.GetEndpoint(),
			Region:      st.GetRegion(),
			Credentials: st.GetCredentials(),
			Checksums:   st.GetChecksums(),
		}
		if err := cfg.Validate(); err != nil {
			return nil, fmt.Errorf("stores.%s: %w", st.GetName(), err)
		}
		if st.GetName() == Default {
			r.cfg = &cfg
		}
	}
	return r, nil
}

// Open implements store.Opener.
func (r *Router) Open(uri string) (store.Bucket, string, error) {
	if rest, ok := strings.CutPrefix(uri, "s3://"); ok {
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket == "" {
			return nil, "", fmt.Errorf("open %q: no bucket; write s3://bucket/key", uri)
		}
		c, err := r.s3()
		if err != nil {
			return nil, "", fmt.Errorf("open %q: %w", uri, err)
		}
		return c.Bucket(bucket), key, nil
	}
	key, err := filePath(uri)
	if err != nil {
		return nil, "", err
	}
	return r.files, key, nil
}

// MakeBucket makes an S3 bucket in the default store; one that is there already is no error.
func (r *Router) MakeBucket(ctx context.Context, name string) error {
	c, err := r.s3()
	if err != nil {
		return fmt.Errorf("make bucket %q: %w", name, err)
	}
	return c.MakeBucket(ctx, name)
}

func (r *Router) s3() (*s3.Client, error) {
	if r.cfg == nil {
		return nil, fmt.Errorf("the spec has no store named %q; add stores: "+
			"{default: {endpoint: https://..., region: ..., credentials: env}}", Default)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		c, err := s3.New(*r.cfg)
		if err != nil {
			return nil, err
		}
		r.client = c
	}
	return r.client, nil
}

// filePath turns a file URI or a path into a key below "/". A trailing slash is kept, as it
// matters to prefixes.
func filePath(uri string) (string, error) {
	p := uri
	if rest, ok := strings.CutPrefix(uri, "file://"); ok {
		rest = strings.TrimPrefix(rest, "localhost")
		if !strings.HasPrefix(rest, "/") {
			return "", fmt.Errorf("open %q: a file URI needs an absolute path; "+
				"write file:///path, or a plain path", uri)
		}
		p = rest
	} else if i := strings.Index(uri, "://"); i >= 0 {
		return "", fmt.Errorf("open %q: unknown scheme %q; use s3://, file:// or a path",
			uri, uri[:i])
	}
	if p == "" {
		return "", fmt.Errorf("open %q: empty path", uri)
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", fmt.Errorf("open %q: %w", uri, err)
	}
	key := strings.TrimPrefix(path.Clean(filepath.ToSlash(abs)), "/")
	if key != "" && strings.HasSuffix(p, "/") {
		key += "/"
	}
	return key, nil
}
