package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// errStalled is the cause of a request that the watchdog ended.
var errStalled = errors.New("server is silent")

// watchdog ends a request that moves no byte for a while. A deadline for the whole request was
// rejected: it would have to be long enough for the slowest link, so a dead server held up
// everything for minutes.
type watchdog struct {
	quiet time.Duration
	moved atomic.Int64 // UnixNano of the last byte
	stop  context.CancelFunc
}

// watch starts a watchdog and the context it ends.
func watch(ctx context.Context, quiet time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{quiet: quiet}
	w.pat()
	done := make(chan struct{})
	w.stop = func() { close(done); cancel(nil) }
	go func() {
		tick := time.NewTicker(max(quiet/8, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if idle := time.Since(time.Unix(0, w.moved.Load())); idle > quiet {
					cancel(fmt.Errorf("no byte for %s: %w", quiet, errStalled))
					return
				}
			}
		}
	}()
	return ctx, w
}

func (w *watchdog) pat() { w.moved.Store(time.Now().UnixNano()) }

// watched pats the dog whenever bytes pass.
type watched struct {
	io.ReadSeeker
	dog *watchdog
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.ReadSeeker.Read(p)
	if n > 0 {
		r.dog.pat()
	}
	return n, err
}

// slowServer is how fast a server is trusted to assemble what it was sent, in bytes a second.
const slowServer = 32 << 20

// do runs one request until it succeeds, fails for good, or the tries are used up. bytes is how
// much the server may have to work through in silence before it answers.
func (c *Client) do(ctx context.Context, verb, uri string, bytes int64,
	request func(context.Context, *watchdog) error,
) error {
	quiet := c.cfg.Stall + time.Duration(bytes/slowServer)*time.Second
	delay := c.cfg.Delay
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return fmt.Errorf("%s %s: %w", verb, uri, context.Cause(ctx))
		}
		err := c.once(ctx, quiet, request)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s %s: %w", verb, uri, context.Cause(ctx))
		}
		if !retryable(err) || try >= c.cfg.Tries {
			return c.explain(verb, uri, try, err)
		}
		wait := time.NewTimer(time.Duration(rand.Int64N(int64(delay) + 1)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return fmt.Errorf("%s %s: %w", verb, uri, context.Cause(ctx))
		case <-wait.C:
		}
		delay = min(2*delay, maxDelay)
	}
}

func (c *Client) once(
	ctx context.Context, quiet time.Duration, request func(context.Context, *watchdog) error,
) error {
	ctx, dog := watch(ctx, quiet)
	defer dog.stop()
	err := request(ctx, dog)
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return context.Cause(ctx)
	}
	return err
}

// permanent marks an error that no further try can mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// retryable tells answers that may change from those that will not. Anything that is not an
// answer (reset, timeout, cut body) may.
func retryable(err error) bool {
	var final permanent
	if errors.As(err, &final) {
		return false
	}
	switch codeOf(err) {
	case "RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "Throttling", "InternalError",
		"ConditionalRequestConflict", "OperationAborted", "ServiceUnavailable",
		"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch":
		return true
	}
	switch status := statusOf(err); {
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests,
		status >= 500:
		return true
	case status >= 300:
		return false
	}
	return true
}

// statusOf returns the HTTP status of an answer, 0 if there was none.
func statusOf(err error) int {
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) {
		return re.HTTPStatusCode()
	}
	return 0
}
