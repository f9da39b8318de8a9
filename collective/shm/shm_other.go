//go:build !linux

package shm

import (
	"context"
	"errors"
	"net"
)

// Listen answers that there is no such thing here.
func Listen(net.Addr) (net.Listener, error) { return nil, errors.ErrUnsupported }

// Dial answers that there is no such thing here.
func Dial(context.Context, string) (*Conn, error) { return nil, errors.ErrUnsupported }

// Accept answers that there is no such thing here.
func Accept(net.Conn) (*Conn, error) { return nil, errors.ErrUnsupported }
