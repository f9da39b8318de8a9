package s3

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/aws/smithy-go"
	"github.com/banyan-train/banyan/store"
)

// codeOf returns the S3 error code of an answer, "" if there was none.
func codeOf(err error) string {
	var ae smithy.APIError
	if errors.As(err, &ae) {
		return ae.ErrorCode()
	}
	return ""
}

// unknownKey tells that the server does not know the access key. Some answer so with a 404.
func unknownKey(code string) bool {
	return code == "InvalidAccessKeyId" || code == "XAdminUserNotFound"
}

// fullCode tells that a quota is used up, which some servers say with a 403 or a 400.
func fullCode(code string) bool {
	return code == "QuotaExceeded" || code == "XMinioStorageFull" ||
		code == "XMinioAdminBucketQuotaExceeded"
}

// explain turns the last error of an operation into one of store's classes with a hint. Server
// messages of refused requests are left out: some repeat parts of the credentials (I12).
func (c *Client) explain(verb, uri string, tries int, err error) error {
	status, code := statusOf(err), codeOf(err)
	var final permanent
	switch {
	case errors.As(err, &final):
		return fmt.Errorf("%s %s: %w", verb, uri, final.error)
	case code == "NoSuchBucket":
		return fmt.Errorf("%s %s: %w at %s; create it, or correct the bucket in the URI",
			verb, uri, store.ErrNoBucket, c.cfg.where())
	case status == http.StatusInsufficientStorage, fullCode(code):
		return fmt.Errorf("%s %s: %w: %s answered %s; make room there, or raise the quota",
			verb, uri, store.ErrFull, c.cfg.where(), answer(status, code))
	case status == http.StatusForbidden, status == http.StatusUnauthorized, unknownKey(code):
		return fmt.Errorf("%s %s: %w by %s (%s) with the credentials of %s; check that they are "+
			"valid there and may do this", verb, uri, store.ErrDenied, c.cfg.where(),
			answer(status, code), c.origin)
	case status == http.StatusNotFound, code == "NoSuchKey":
		return fmt.Errorf("%s %s: %w", verb, uri, store.ErrNotFound)
	case status == http.StatusPreconditionFailed:
		return fmt.Errorf("%s %s: %w", verb, uri, errPrecondition)
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect:
		return fmt.Errorf("%s %s: %s says the bucket is in another region (%s); set the "+
			"store's region", verb, uri, c.cfg.where(), answer(status, code))
	case status == 0:
		return fmt.Errorf("%s %s: %w: %s, after %d tries; check the endpoint and that the "+
			"service is up: %w", verb, uri, store.ErrUnreachable, c.cfg.where(), tries, root(err))
	case status >= 500 || status == http.StatusTooManyRequests:
		return fmt.Errorf("%s %s: %w: %s answered %s to all %d tries",
			verb, uri, store.ErrUnreachable, c.cfg.where(), answer(status, code), tries)
	default:
		return fmt.Errorf("%s %s: %s answered %s: %w",
			verb, uri, c.cfg.where(), answer(status, code), terse{err})
	}
}

// root strips what the SDK wraps around a connection's own error.
func root(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// terse shows only the server's message of an answer.
type terse struct{ error }

func (t terse) Unwrap() error { return t.error }

func (t terse) Error() string {
	var ae smithy.APIError
	if errors.As(t.error, &ae) {
		return ae.ErrorMessage()
	}
	return t.error.Error()
}

// errPrecondition is a 412; Put and ReadRange know what it means.
var errPrecondition = errors.New("precondition failed")

func answer(status int, code string) string {
	if code == "" {
		return fmt.Sprint(status)
	}
	return fmt.Sprintf("%d %s", status, code)
}
