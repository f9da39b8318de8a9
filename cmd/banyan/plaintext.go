package main

import (
	"fmt"
	"net"
)

// refusePlaintext guards against an open cluster by accident: this version does not encrypt or
// authenticate its connections, so anything but loopback needs a word from the user.
func refusePlaintext(insecure bool, hosts ...string) error {
	for _, h := range hosts {
		if host, _, err := net.SplitHostPort(h); err == nil {
			h = host
		}
		if ip := net.ParseIP(h); insecure || h == "localhost" || ip != nil && ip.IsLoopback() {
			continue
		}
		return fmt.Errorf("%w: %s is not loopback, and connections are not encrypted or authenticated "+
			"in this version; give --insecure if the network between the hosts is trusted", errInput, h)
	}
	return nil
}
