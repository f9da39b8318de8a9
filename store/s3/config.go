package s3

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config says which S3 service to speak to. The zero value is AWS with credentials from the
// environment.
type Config struct {
	Endpoint    string // http(s)://host[:port]; empty: AWS. Others are addressed by path
	Region      string // empty: AWS_REGION, else us-east-1
	Credentials string // env (default) | profile:NAME | file:PATH
	Checksums   string // when_supported (default) | when_required

	Tries int           // of each request; 0: 8
	Delay time.Duration // longest wait before the second try, doubled by each further; 0: 100 ms
	Stall time.Duration // a request that moves no byte for this long has failed; 0: 20 s
}

const (
	defaultTries = 8
	defaultDelay = 100 * time.Millisecond
	maxDelay     = 5 * time.Second
	defaultStall = 20 * time.Second
)

// Validate checks the form of every field. It reads no credentials.
func (c Config) Validate() error {
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("endpoint %q: write it as http://host:port or https://host", c.Endpoint)
		}
		if u.User != nil {
			return fmt.Errorf("endpoint of host %q holds a user or password; "+
				"take it out and use credentials: env | profile:NAME | file:PATH", u.Host)
		}
		if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return fmt.Errorf("endpoint %q: only scheme, host and port; "+
				"the bucket goes into the s3:// URI", c.Endpoint)
		}
	}
	switch c.Checksums {
	case "", "when_supported", "when_required":
	default:
		return fmt.Errorf("checksums %q: use when_supported or when_required", c.Checksums)
	}
	if c.Tries < 0 || c.Delay < 0 || c.Stall < 0 {
		return fmt.Errorf("tries, delay and stall must not be negative")
	}
	_, err := parseCredentials(c.Credentials)
	return err
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.Region == "" {
		c.Region = os.Getenv("AWS_REGION")
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Tries == 0 {
		c.Tries = defaultTries
	}
	if c.Delay == 0 {
		c.Delay = defaultDelay
	}
	if c.Stall == 0 {
		c.Stall = defaultStall
	}
	return c
}

// where names the service in messages.
func (c Config) where() string {
	if c.Endpoint == "" {
		return "AWS region " + c.Region
	}
	return c.Endpoint
}
