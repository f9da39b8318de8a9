package telemetry

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// Config describes one member's server.
type Config struct {
	Name string // unique among the members; keeps its JetStream identity across restarts
	Dir  string // owned by this member alone; created when missing
	// Listen is host:port for clients; "" means 127.0.0.1 and any port. Keep it on loopback: it is
	// plaintext. It cannot be switched off, because the server starts its routes only once it
	// listens for clients.
	Listen        string
	ClusterListen string         // host:port for the other members; "" runs a single member
	Routes        []string       // every member's ClusterListen; its own may be among them
	Replicas      int            // copies of the stream: min(3, members); 0 means 1
	User          string         // of clients and of routes; "" means "banyan"
	Password      string         // shared by all members; required with ClusterListen
	Logger        zerolog.Logger `json:"-"`

	MaxBytes    int64         // of the stream on each member; 0 means DefaultMaxBytes
	DedupWindow time.Duration // 0 means DefaultDedupWindow
}

const (
	// DefaultMaxBytes holds some 2 million step records of 256 bytes.
	DefaultMaxBytes = 512 << 20
	// DefaultDedupWindow outlives an election and a publisher's retries.
	DefaultDedupWindow = 5 * time.Minute

	syncInterval = time.Second
	clusterName  = "banyan"
	maxPayload   = 1 << 20 // bytes of one message, NATS's own default
)

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.User == "" {
		c.User = "banyan"
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.DedupWindow == 0 {
		c.DedupWindow = DefaultDedupWindow
	}
	return c
}

// Validate reports everything that is wrong with the Config, at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		bad("name is empty: give this member a name of its own")
	}
	if c.Dir == "" {
		bad("dir is empty: name a directory for JetStream")
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		bad("replicas is %d: 1 to 5", c.Replicas)
	}
	if c.ClusterListen == "" && c.Replicas > 1 {
		bad("replicas is %d without cluster listen address", c.Replicas)
	}
	if c.ClusterListen != "" && c.Password == "" {
		bad("password is empty: routes between members need one")
	}
	if c.MaxBytes < 1<<20 {
		bad("max bytes is %d: at least 1 MiB", c.MaxBytes)
	}
	for _, addr := range append([]string{c.Listen, c.ClusterListen}, c.Routes...) {
		if addr == "" {
			continue
		}
		if _, _, err := splitAddr(addr); err != nil {
			bad("%w", err)
		}
	}
	return errors.Join(errs...)
}

// options translates to the server's own. Call after Validate.
func (c Config) options() *server.Options {
	host, port, _ := splitAddr(c.Listen)
	o := &server.Options{
		ServerName: c.Name, Host: host, Port: port, Username: c.User, Password: c.Password,
		NoSigs: true, MaxPayload: maxPayload, DisableShortFirstPing: true,
		JetStream: true, StoreDir: c.Dir, SyncInterval: syncInterval,
		// Beside the stream the server keeps its own logs; it refuses streams above this limit.
		JetStreamMaxStore: c.MaxBytes + c.MaxBytes/4 + 64<<20, JetStreamMaxMemory: 64 << 20,
		DisableJetStreamBanner: true,
	}
	if c.Password == "" {
		o.Username = "" // a user without password is no authentication at all
	}
	if c.ClusterListen == "" {
		return o
	}
	host, port, _ = splitAddr(c.ClusterListen)
	o.Cluster = server.ClusterOpts{
		Name: clusterName, Host: host, Port: port, Username: c.User, Password: c.Password,
		NoAdvertise: true,
	}
	for _, r := range c.Routes {
		if r == c.ClusterListen {
			continue
		}
		o.Routes = append(o.Routes, &url.URL{
			Scheme: "nats-route", Host: r, User: url.UserPassword(c.User, c.Password),
		})
	}
	return o
}

// splitAddr parses host:port; port 0 becomes the server's "any", -1.
func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: %w", addr, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("address %q: port must be 0 to 65535", addr)
	}
	if port == 0 {
		port = -1
	}
	return host, port, nil
}
