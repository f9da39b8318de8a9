package spec

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/banyan-train/banyan/dataset"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// checkStores checks endpoints and the way to credentials. No value is repeated in an error: a
// secret may stand in the wrong place (I12).
func (p *parser) checkStores(stores []*pb.Store) {
	for _, st := range stores {
		at := join("stores", st.Name)
		if st.Name != "default" {
			p.failAt(at, "name it default: s3:// goes to that one",
				"only the store named default is used in this version")
		}
		p.checkEndpoint(at+".endpoint", st.Endpoint)
		if p.ok(at+".credentials") && !credentialsForm(st.Credentials) {
			p.failAt(at+".credentials", "write env, profile:NAME or file:/ABSOLUTE/PATH",
				"this is not a way to find credentials")
		}
		if c := st.Checksums; p.ok(at+".checksums") && c != "when_supported" && c != "when_required" {
			p.failAt(at+".checksums", "write when_supported or when_required", "unknown value")
		}
		if p.ok(at+".region") && !nameForm.MatchString(st.Region) {
			p.failAt(at+".region", "write a region such as us-east-1", "this is not a region")
		}
	}
}

func (p *parser) checkEndpoint(path, endpoint string) {
	if !p.ok(path) {
		return
	}
	const fix = "write https://host or http://host:port"
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		p.failAt(path, fix, "this is not an http or https URL")
	case u.User != nil:
		p.failAt(path, "remove the part before @; set `credentials` to env, profile:NAME or file:PATH",
			"secrets never stand in a spec")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		p.failAt(path, fix+"; the bucket goes into the s3:// URIs",
			"an endpoint is a scheme, a host and a port")
	}
}

func credentialsForm(c string) bool {
	if name, ok := strings.CutPrefix(c, "profile:"); ok {
		return name != "" && !strings.ContainsAny(name, " \t/")
	}
	if path, ok := strings.CutPrefix(c, "file:"); ok {
		return filepath.IsAbs(path)
	}
	return c == "env"
}

// checkInputs normalizes every URI of the spec and looks for local inputs that are missing.
func (p *parser) checkInputs(s *pb.RunSpec) {
	p.uri("base.model", &s.GetBase().Model, use{exists: true})
	p.uri("base.tokenizer", &s.GetBase().Tokenizer, use{exists: true})
	if e := s.GetBase().GetExtendVocab(); e != nil {
		p.uri("base.extend_vocab.tokenizer", &e.Tokenizer, use{exists: true})
	}
	for i, src := range s.GetData().GetSources() {
		p.uri(fmt.Sprintf("data.sources[%d].uri", i), &src.Uri, use{exists: true, glob: true})
	}
	for i, set := range s.GetEval().GetSets() {
		p.uri(fmt.Sprintf("eval.sets[%d].uri", i), &set.Uri, use{exists: true, glob: true})
	}
	p.uri("checkpoint.to", &s.GetCheckpoint().To, use{})
	remote := slices.ContainsFunc(uris(s), func(u string) bool {
		return strings.HasPrefix(u, "s3://")
	})
	if remote && len(s.Stores) == 0 && !p.bad["stores"] {
		p.failAt("stores", "add stores: {default: {endpoint: https://..., credentials: env}}; "+
			"leave endpoint out for AWS", "missing, but the spec names s3:// places")
	}
}

func uris(s *pb.RunSpec) []string {
	out := []string{s.GetBase().GetModel(), s.GetBase().GetTokenizer(), s.GetCheckpoint().GetTo()}
	if e := s.GetBase().GetExtendVocab(); e != nil {
		out = append(out, e.GetTokenizer())
	}
	for _, src := range s.GetData().GetSources() {
		out = append(out, src.Uri)
	}
	for _, set := range s.GetEval().GetSets() {
		out = append(out, set.Uri)
	}
	return out
}

// use says what a URI is for.
type use struct {
	exists bool // must be there already
	glob   bool // may hold *, ? and **; source files
}

// uri checks one URI and makes a plain path an absolute file:// one: who reads the spec later,
// a coordinator or a worker, runs in another folder.
func (p *parser) uri(path string, value *string, u use) {
	if !p.ok(path) {
		return
	}
	text := *value
	wild := strings.ContainsAny(text, "*?")
	switch {
	case text == "":
		p.failAt(path, "write s3://bucket/key, file:///path or a path", "is empty")
		return
	case wild && !u.glob:
		p.failAt(path, "* and ? may stand in a corpus's uri only", "%q holds a wildcard", short(text))
		return
	case wild && dotted(text[strings.IndexAny(text, "*?"):]):
		p.failAt(path, "write the path that it leads to", "%q has a . or .. behind a wildcard",
			short(text))
		return
	case u.glob:
		if _, _, err := dataset.Kind(text, pb.Format_FORMAT_UNSPECIFIED); err != nil {
			p.failAt(path, "write the corpus as .jsonl, .txt or .parquet; .gz and .zst may follow the "+
				"first two", "%s files are not supported", filepath.Ext(text))
			return
		}
	}
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case !found:
		if !filepath.IsAbs(text) && p.dir == "" {
			p.failAt(path, "write it from the root on, or as s3:// or file:///",
				"%q is relative, and there is no YAML file here that it could be relative to", short(text))
			return
		}
		if !filepath.IsAbs(text) {
			text = filepath.Join(p.dir, text)
		}
		p.localURI(path, value, filepath.Clean(text), u)
	case scheme == "file":
		if !strings.HasPrefix(rest, "/") {
			p.failAt(path, "write file:///"+short(rest)+" or a plain path",
				"a file URI needs an absolute path")
			return
		}
		p.localURI(path, value, filepath.Clean(rest), u)
	case scheme == "s3":
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket == "" || u.exists && strings.Trim(key, "/") == "" {
			p.failAt(path, "write s3://bucket/key", "%q names no bucket or no key", short(text))
		}
	default:
		p.failAt(path, "use s3://, file:// or a path", "the scheme %q is not supported", short(scheme))
	}
}

func (p *parser) localURI(path string, value *string, file string, u use) {
	*value = "file://" + file
	if !p.local {
		return
	}
	if !u.exists {
		if at := fileOn(file); at != "" {
			p.failAt(path, "name a folder; one that is missing is made", "%s is a file", at)
		}
		return
	}
	if u.glob && strings.ContainsAny(file, "*?") {
		if !anyMatch(file) {
			p.failAt(path, "check the path; it is relative to the folder of the YAML file",
				"missing file: nothing matches %s", file)
		}
		return
	}
	if _, err := os.Stat(file); err != nil {
		p.failAt(path, "check the path; it is relative to the folder of the YAML file",
			"missing file: %s", file)
	}
}

// fileOn is the element of a path at which a file stands in the way of a folder; "" for none.
func fileOn(path string) string {
	for ; ; path = filepath.Dir(path) {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return ""
		} else if err == nil {
			return path
		}
		if path == filepath.Dir(path) {
			return ""
		}
	}
}

// dotted says whether a path has an element . or .., which cleaning would take out together with
// the wildcard before it.
func dotted(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(element string) bool {
		return element == "." || element == ".."
	})
}

// anyMatch says whether a file below the folder before the first wildcard matches a pattern. It
// gives up looking after a while: pinning lists them all.
func anyMatch(pattern string) bool {
	left, found := 1<<16, false
	folder := filepath.Dir(pattern[:strings.IndexAny(pattern, "*?")] + "x")
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		left--
		found = left < 0 || err == nil && !e.IsDir() && dataset.Matches(pattern, path)
		if found {
			return filepath.SkipAll
		}
		return nil
	})
	return found && err == nil
}
