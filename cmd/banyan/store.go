package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store/router"
)

// storeFlags name the default store of commands that work without a run.
type storeFlags struct{ endpoint, region, credentials string }

func (o *storeFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.endpoint, "endpoint", os.Getenv("AWS_ENDPOINT_URL"),
		"S3 endpoint (default $AWS_ENDPOINT_URL, else AWS)")
	f.StringVar(&o.region, "region", "us-east-1", "S3 region")
	f.StringVar(&o.credentials, "credentials", "env", "env | profile:NAME | file:PATH")
}

func (o *storeFlags) stores() []*pb.Store {
	return []*pb.Store{{Name: "default", Endpoint: o.endpoint, Region: o.region,
		Credentials: o.credentials}}
}

func storeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "Put files into an object store"}
	cmd.AddCommand(makeBucketCommand(), copyCommand())
	return cmd
}

func makeBucketCommand() *cobra.Command {
	var o storeFlags
	cmd := &cobra.Command{
		Use:   "make-bucket NAME",
		Short: "Create a bucket unless it exists",
		Args:  args(1, "NAME"),
		RunE: func(cmd *cobra.Command, given []string) error {
			r, err := router.New(o.stores())
			if err != nil {
				return err
			}
			return r.MakeBucket(cmd.Context(), given[0])
		},
	}
	o.register(cmd)
	return cmd
}

func copyCommand() *cobra.Command {
	var o storeFlags
	cmd := &cobra.Command{
		Use:   "copy PATH... DEST",
		Short: "Copy files or folders to s3://bucket/prefix (or a directory)",
		Args: func(_ *cobra.Command, given []string) error {
			if len(given) < 2 {
				return fmt.Errorf("%w: banyan store copy PATH... DEST", errUsage)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, given []string) error {
			r, err := router.New(o.stores())
			if err != nil {
				return err
			}
			dest := given[len(given)-1]
			for _, src := range given[:len(given)-1] {
				if err := copyTree(cmd.Context(), r, src, dest); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.register(cmd)
	return cmd
}

// copyTree copies a file, or a folder's files with their relative paths, below dest.
func copyTree(ctx context.Context, r *router.Router, src, dest string) error {
	return filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		if rel == "." {
			rel = filepath.Base(src)
		}
		return copyFile(ctx, r, p, strings.TrimRight(dest, "/")+"/"+path.Clean(filepath.ToSlash(rel)))
	})
}

func copyFile(ctx context.Context, r *router.Router, src, uri string) error {
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	bucket, key, err := r.Open(uri)
	if err != nil {
		return err
	}
	_, err = bucket.Put(ctx, key, f, info.Size(), false)
	return err
}
