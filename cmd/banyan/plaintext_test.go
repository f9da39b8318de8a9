package main

import (
	"errors"
	"testing"
)

func TestPlaintextNeedsAWord(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "127.0.0.1:7070", "localhost", "[::1]:70", "::1"} {
		if err := refusePlaintext(false, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"10.0.0.1:7070", "0.0.0.0:1", "gpu-1", "gpu-1:7070", ""} {
		if err := refusePlaintext(false, host); !errors.Is(err, errInput) {
			t.Errorf("%q accepted: %v", host, err)
		}
		if err := refusePlaintext(true, host); err != nil {
			t.Errorf("%q refused in spite of --insecure: %v", host, err)
		}
	}
}
