package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banyan-train/banyan/store"
)

// fake is a client of a server that answers by script: one handler a request, the last one for
// all that follow.
func fake(t *testing.T, cfg Config, script ...http.HandlerFunc) (*Bucket, *atomic.Int32) {
	t.Helper()
	var calls atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := min(int(calls.Add(1)), len(script)) - 1
		script[i](w, r)
	}))
	t.Cleanup(srv.Close)
	t.Setenv(envID, "id")
	t.Setenv(envSecret, "secret")
	cfg.Endpoint, cfg.Delay = srv.URL, time.Millisecond
	if cfg.Tries == 0 {
		cfg.Tries = 4
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c.Bucket("ckpt"), &calls
}

func status(code int, s3code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(code)
		if s3code != "" {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", s3code)
		}
	}
}

func stored(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("ETag", `"e1"`)
}

// object serves the range asked for, and only the first cut bytes of it.
func object(data, etag string, cut int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var lo, hi int
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &lo, &hi)
		w.Header().Set("ETag", `"`+etag+`"`)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", lo, hi, len(data)))
		w.Header().Set("Content-Length", fmt.Sprint(hi+1-lo))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, data[lo:min(hi+1, lo+cut)])
	}
}

func TestTransientAnswersAreRetried(t *testing.T) {
	for _, answer := range []http.HandlerFunc{
		status(500, "InternalError"), status(503, "SlowDown"), status(429, ""), status(502, ""),
		status(409, "ConditionalRequestConflict"), status(400, "RequestTimeout"),
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		b, calls := fake(t, Config{}, answer, answer, stored)
		_, err := b.Put(context.Background(), "k", strings.NewReader("x"), 1, true)
		if err != nil || calls.Load() != 3 {
			t.Errorf("%d calls, %v", calls.Load(), err)
		}
	}
}

func TestFinalAnswersAreNot(t *testing.T) {
	for _, c := range []struct {
		answer http.HandlerFunc
		class  error
	}{
		{status(412, "PreconditionFailed"), store.ErrExists},
		{status(403, "AccessDenied"), store.ErrDenied},
		{status(404, "NoSuchBucket"), store.ErrNoBucket},
		{status(400, "InvalidArgument"), nil},
	} {
		b, calls := fake(t, Config{}, c.answer)
		_, err := b.Put(context.Background(), "k", strings.NewReader("x"), 1, true)
		if err == nil || (c.class != nil && !errors.Is(err, c.class)) || calls.Load() != 1 {
			t.Errorf("%d calls, %v, want %v", calls.Load(), err, c.class)
		}
	}
}

// A server without room says so in several ways; no one who writes should take them for an outage,
// or for wrong credentials.
func TestFullServer(t *testing.T) {
	for _, answer := range []http.HandlerFunc{
		status(507, "XMinioStorageFull"), status(507, ""), status(403, "QuotaExceeded"),
		status(400, "XMinioAdminBucketQuotaExceeded"),
	} {
		b, _ := fake(t, Config{Tries: 2}, answer)
		_, err := b.Put(context.Background(), "k", strings.NewReader("x"), 1, false)
		if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrUnreachable) ||
			errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), "s3://ckpt/k") {
			t.Errorf("got %v", err)
		}
	}
}

func TestTriesEnd(t *testing.T) {
	b, calls := fake(t, Config{Tries: 3}, status(503, "SlowDown"))
	_, err := b.Stat(context.Background(), "k")
	if !errors.Is(err, store.ErrUnreachable) || calls.Load() != 3 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
}

// A connection that breaks in the middle of a body costs one more request, not the read.
func TestCutBodyIsReadAgain(t *testing.T) {
	b, calls := fake(t, Config{}, object("0123456789", "e", 3), object("0123456789", "e", 99))
	p := make([]byte, 6)
	err := b.ReadRange(context.Background(), "k", 2, p, "e")
	if err != nil || string(p) != "234567" || calls.Load() != 2 {
		t.Errorf("%q, %d calls, %v", p, calls.Load(), err)
	}
}

// A server that ignores If-Match or Range must not pass for one that honours them.
func TestI4_AnswerIsCheckedAgainstTheRequest(t *testing.T) {
	b, _ := fake(t, Config{}, object("0123456789", "other", 99))
	err := b.ReadRange(context.Background(), "k", 2, make([]byte, 3), "e")
	if !errors.Is(err, store.ErrChanged) {
		t.Errorf("other ETag: %v", err)
	}
	whole := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789") }
	b, _ = fake(t, Config{}, whole)
	err = b.ReadRange(context.Background(), "k", 2, make([]byte, 3), "")
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no range: %v", err)
	}
}

// A server that accepts a request and says nothing, or stops in the middle of a body, is given up
// after the stall time of every try, and the error says so.
func TestI13_SilentServerEnds(t *testing.T) {
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	half := func(w http.ResponseWriter, r *http.Request) {
		object("0123456789", "e", 3)(w, r)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for _, h := range []http.HandlerFunc{silent, half} {
		// Starved, a try may be over before the server has heard of it: then with more time.
		for stall := 100 * time.Millisecond; ; stall *= 4 {
			b, calls := fake(t, Config{Tries: 2, Stall: stall}, h)
			start := time.Now()
			err := b.ReadRange(context.Background(), "k", 0, make([]byte, 8), "")
			if !errors.Is(err, store.ErrUnreachable) || !strings.Contains(err.Error(), "silent") {
				t.Errorf("got %v", err)
			}
			n, took := calls.Load(), time.Since(start)
			if n == 2 && took < 100*stall {
				break
			}
			if n > 2 || stall > 5*time.Second {
				t.Fatalf("%d calls in %s with a stall time of %s", n, took, stall)
			}
		}
	}
}

func TestCredentialFiles(t *testing.T) {
	for _, c := range []struct{ text, section, id, fails string }{
		{"AWS_ACCESS_KEY_ID=a\nexport AWS_SECRET_ACCESS_KEY='b=='\n", "default", "a", ""},
		{"# c\n[default]\naws_access_key_id = a\naws_secret_access_key = b\n", "default", "a", ""},
		{"[x]\naws_access_key_id=1\n[profile y]\naws_access_key_id=2\n", "y", "2", ""},
		{"[x]\naws_access_key_id=1\n", "y", "", "no section [y]"},
		{"s3cr3t\n", "default", "", "line 1 is neither"},
	} {
		got, err := parseFile(strings.NewReader(c.text), c.section)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) ||
				strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%q: %v", c.text, err)
			}
		} else if err != nil || got[envID] != c.id {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"AKIA123", "profile:", "file:", "key=secret"} {
		err := Config{Credentials: bad}.Validate()
		if err == nil || (len(bad) > 8 && strings.Contains(err.Error(), bad)) {
			t.Errorf("credentials %q: %v", bad, err)
		}
	}
}

func TestMissingCredentialsAreTold(t *testing.T) {
	t.Setenv(envID, "")
	t.Setenv(envSecret, "")
	_, err := New(Config{Endpoint: "http://127.0.0.1:1"})
	if !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), envID) {
		t.Errorf("got %v", err)
	}
}

func TestBadConfigs(t *testing.T) {
	for _, c := range []Config{
		{Endpoint: "127.0.0.1:9000"}, {Endpoint: "ftp://x"}, {Endpoint: "http://x/bucket"},
		{Endpoint: "http://u:p@x"}, {Checksums: "never"}, {Tries: -1},
	} {
		if c.Validate() == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}
