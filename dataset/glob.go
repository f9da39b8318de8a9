package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"github.com/banyan-train/banyan/store"
)

// pinFiles lists the files of a URI: one file, or those that match a pattern, by name. In an
// element of the path * stands for any characters and ? for one; ** alone stands for any number of
// folders, none included.
func pinFiles(ctx context.Context, op store.Opener, uri string) ([]*pb.PinnedFile, error) {
	if uri == "" {
		return nil, errors.New("uri is empty: give file:///path/*.jsonl or s3://bucket/key")
	}
	bucket, key, err := op.Open(uri)
	if err != nil {
		return nil, err
	}
	if !strings.ContainsAny(uri, "*?") {
		info, err := bucket.Stat(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("%w: check the uri (a folder is written as %s/*.jsonl, with "+
				"what lies below it as %s/**/*.jsonl)", err, uri, uri)
		}
		if err != nil {
			return nil, err
		}
		return []*pb.PinnedFile{{Uri: uri, Size: uint64(info.Size), Etag: info.ETag}}, nil
	}
	if err := checkPattern(uri, key); err != nil {
		return nil, err
	}
	prefix := key[:strings.IndexAny(key, "*?")]
	infos, err := bucket.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	infos = slices.DeleteFunc(infos, func(i store.Info) bool { return !Matches(key, i.Key) })
	if len(infos) == 0 {
		return nil, fmt.Errorf("%s: %w: no file matches: check the uri", uri, store.ErrNotFound)
	}
	return pinListed(ctx, bucket, strings.TrimSuffix(uri, key), prefix, infos)
}

// checkPattern refuses elements that would leave the folder before the first wildcard.
func checkPattern(uri, key string) error {
	if !strings.HasSuffix(uri, key) {
		return fmt.Errorf("%s: a pattern may not hold . or .. elements, nor be relative: write the "+
			"path they lead to", uri)
	}
	for element := range strings.SplitSeq(key, "/") {
		switch {
		case element == "..", element == ".":
			return fmt.Errorf("%s: a pattern may not hold %s elements: write the path they lead to",
				uri, element)
		case strings.Contains(element, "**") && element != "**":
			return fmt.Errorf("%s: ** must be an element of its own, as in a/**/b.jsonl", uri)
		}
	}
	return nil
}

// pinListed pins the files of a listing. base is what comes before a key in a URI.
func pinListed(
	ctx context.Context, bucket store.Bucket, base, prefix string, infos []store.Info,
) ([]*pb.PinnedFile, error) {
	files := make([]*pb.PinnedFile, len(infos))
	root := prefix[:strings.LastIndexByte(prefix, '/')+1]
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, info := range infos {
		f := &pb.PinnedFile{Uri: base + info.Key, Size: uint64(info.Size), Etag: info.ETag}
		files[i] = f
		group.Go(func() error {
			if err := inside(bucket, root, info.Key); err != nil {
				return fmt.Errorf("%s: %w", f.Uri, err)
			}
			if f.Etag != "" {
				return nil
			}
			info, err := bucket.Stat(ctx, info.Key) // a listing of files has no hashes
			f.Size, f.Etag = uint64(info.Size), info.ETag
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return files, nil
}

// inside refuses a symbolic link that leads out of the folder that a pattern names.
func inside(bucket store.Bucket, root, key string) error {
	links, ok := bucket.(store.Linker)
	if !ok {
		return nil
	}
	target, err := links.Target(key)
	if err != nil || target == key {
		return err
	}
	folder, err := links.Target(strings.TrimSuffix(root, "/"))
	if err != nil || folder == "" || strings.HasPrefix(target, folder+"/") {
		return err
	}
	return fmt.Errorf("it is a symbolic link to /%s, outside of the pattern's folder: name the "+
		"folder where the files are, or copy them", target)
}

// Matches tells whether a path matches a pattern with *, ? and **.
func Matches(pattern, path string) bool {
	key := strings.Split(path, "/")
	// ends[i] says that the pattern so far matches key[:i].
	ends := make([]bool, len(key)+1)
	ends[0] = true
	for p := range strings.SplitSeq(pattern, "/") {
		next := make([]bool, len(key)+1)
		for i := range ends {
			switch {
			case p == "**" && i > 0:
				next[i] = ends[i] || next[i-1]
			case p == "**":
				next[i] = ends[i]
			case i > 0 && ends[i-1]:
				next[i] = matchElement(p, key[i-1])
			}
		}
		ends = next
	}
	return ends[len(key)]
}

// matchElement tells whether name matches a pattern of *, ? and plain characters.
func matchElement(pattern, name string) bool {
	p, n := []rune(pattern), []rune(name)
	i, k := 0, 0
	star, mark := -1, 0 // the last star seen, and what it has swallowed up to
	for k < len(n) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, k
			i++
		case i < len(p) && (p[i] == '?' || p[i] == n[k]):
			i, k = i+1, k+1
		case star >= 0:
			mark++
			i, k = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
