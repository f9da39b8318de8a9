package s3

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Client speaks to one S3 service. Safe for concurrent use.
type Client struct {
	cfg    Config
	origin *origin
	api    *s3.Client

	multipartFrom, partSize int64 // the constants, but in tests
}

// New makes a client. It reads the credentials once, so that their absence is told early, and
// makes no connection.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	o, err := parseCredentials(cfg.Credentials)
	if err != nil {
		return nil, err
	}
	if _, err := o.Retrieve(context.Background()); err != nil {
		return nil, fmt.Errorf("s3 at %s: %w", cfg.where(), err)
	}
	opts := s3.Options{
		Region:      cfg.Region,
		Credentials: aws.NewCredentialsCache(o),
		HTTPClient:  httpClient(),
		Retryer:     aws.NopRetryer{},
	}
	if cfg.Endpoint != "" {
		opts.BaseEndpoint = aws.String(cfg.Endpoint)
		opts.UsePathStyle = true // only AWS promises a DNS name per bucket
	}
	opts.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
	opts.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
	if cfg.Checksums == "when_required" {
		opts.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		opts.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}
	opts.DisableLogOutputChecksumValidationSkipped = true
	return &Client{
		cfg: cfg, origin: o, api: s3.New(opts), multipartFrom: multipartFrom, partSize: partSize,
	}, nil
}

// httpClient bounds the phases that move no body; the watchdog of a request bounds the rest.
func httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{
			Timeout: 10 * time.Second, KeepAlive: 15 * time.Second,
		}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       time.Minute,
		DisableCompression:    true, // a range of a .gz object is wanted as it is stored
	}}
}

// Bucket returns the bucket of that name. Nothing is asked of the server yet.
func (c *Client) Bucket(name string) *Bucket { return &Bucket{c: c, name: name} }

// MakeBucket makes a bucket; one that this account owns already is no error.
func (c *Client) MakeBucket(ctx context.Context, name string) error {
	in := &s3.CreateBucketInput{Bucket: &name}
	if c.cfg.Endpoint == "" && c.cfg.Region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(c.cfg.Region),
		}
	}
	err := c.do(ctx, "make bucket", "s3://"+name, 0, func(ctx context.Context, _ *watchdog) error {
		_, err := c.api.CreateBucket(ctx, in)
		return err
	})
	switch codeOf(err) {
	case "BucketAlreadyOwnedByYou":
		return nil
	case "BucketAlreadyExists": // some servers answer so to the owner too
		if _, e := c.Bucket(name).List(ctx, "\x01none"); e == nil {
			return nil
		}
	}
	return err
}
