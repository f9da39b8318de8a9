package s3

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/banyan-train/banyan/store"
)

var _ aws.CredentialsProvider = (*origin)(nil)

// Names in the environment and in KEY=VALUE files.
const (
	envID     = "AWS_ACCESS_KEY_ID"
	envSecret = "AWS_SECRET_ACCESS_KEY"
	envToken  = "AWS_SESSION_TOKEN"
)

// Files are read again this often, as some sites rotate what is in them.
const reread = 5 * time.Minute

// origin is where credentials come from: the environment, or a section of a file.
type origin struct {
	path    string // empty: the environment
	section string // of an ini file
}

func parseCredentials(s string) (*origin, error) {
	switch {
	case s == "" || s == "env":
		return &origin{}, nil
	case strings.HasPrefix(s, "profile:") && len(s) > len("profile:"):
		return &origin{path: sharedFile(), section: s[len("profile:"):]}, nil
	case strings.HasPrefix(s, "file:") && len(s) > len("file:"):
		return &origin{path: s[len("file:"):], section: "default"}, nil
	}
	// The value is not repeated: a user may have put a secret there.
	return nil, errors.New("credentials: use env, profile:NAME or file:PATH (never a secret)")
}

func sharedFile() string {
	if p := os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); p != "" {
		return p
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "~"
	}
	return filepath.Join(home, ".aws", "credentials")
}

// String names the origin for hints. It holds no value (invariant I12).
func (o *origin) String() string {
	if o.path == "" {
		return envID + " and " + envSecret + " of the environment"
	}
	return fmt.Sprintf("file %s, section [%s] or %s", o.path, o.section, envID)
}

// Retrieve implements aws.CredentialsProvider.
func (o *origin) Retrieve(context.Context) (aws.Credentials, error) {
	c, err := o.load()
	if err != nil { // no further try of the request can mend it
		return c, permanent{fmt.Errorf("%w: %w", store.ErrDenied, err)}
	}
	return c, nil
}

func (o *origin) load() (aws.Credentials, error) {
	if o.path == "" {
		return o.check(map[string]string{
			envID: os.Getenv(envID), envSecret: os.Getenv(envSecret), envToken: os.Getenv(envToken),
		})
	}
	f, err := os.Open(o.path)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	values, err := parseFile(f, o.section)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("read credentials from %s: %w", o.path, err)
	}
	c, err := o.check(values)
	c.CanExpire, c.Expires = true, time.Now().Add(reread)
	return c, err
}

func (o *origin) check(values map[string]string) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID: values[envID], SecretAccessKey: values[envSecret],
		SessionToken: values[envToken], Source: o.String(),
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return aws.Credentials{}, fmt.Errorf("no credentials in %s; set both, or use another "+
			"credentials: env | profile:NAME | file:PATH", o)
	}
	return c, nil
}

// maxCredentials bounds what is read from a file that may be the wrong one.
const maxCredentials = 1 << 20

// parseFile reads KEY=VALUE lines (shell style, "export " allowed) and AWS ini sections alike:
// lines before any section count always, those of a section only when it is the wanted one.
func parseFile(r io.Reader, section string) (map[string]string, error) {
	values := make(map[string]string)
	wanted, found := true, false
	sc := bufio.NewScanner(io.LimitReader(r, maxCredentials))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			name := strings.TrimSpace(strings.Trim(line, "[]"))
			wanted = strings.TrimPrefix(name, "profile ") == section
			found = found || wanted
			continue
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok { // the line itself may be a secret: only its number is told
			return nil, fmt.Errorf("line %d is neither KEY=VALUE nor [section]", n)
		}
		if wanted {
			value = strings.Trim(strings.TrimSpace(value), `"'`)
			values[strings.ToUpper(strings.TrimSpace(key))] = value
		}
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if !found && len(values) == 0 {
		return nil, fmt.Errorf("no section [%s]", section)
	}
	return values, nil
}
