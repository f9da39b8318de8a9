package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"

	"github.com/banyan-train/banyan/internal/leader"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// DefaultAddress is where a coordinator listens when nothing else is said.
const DefaultAddress = "127.0.0.1:7070"

// Addresses reads a comma-separated list, else BANYAN_ADDR, else DefaultAddress.
func Addresses(list string) []string {
	if list == "" {
		list = os.Getenv("BANYAN_ADDR")
	}
	var out []string
	for a := range strings.SplitSeq(list, ",") {
		if a = strings.TrimSpace(a); a != "" {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return []string{DefaultAddress}
	}
	return out
}

// Client is one user of a cluster. Safe for concurrent use.
type Client struct{ finder *leader.Finder }

// New takes coordinator addresses; it connects at the first call.
func New(addrs []string) (*Client, error) {
	f, err := leader.New(addrs)
	if err != nil {
		return nil, err
	}
	return &Client{f}, nil
}

// Close closes the connections.
func (c *Client) Close() { c.finder.Close() }

// NewRequestID makes an idempotency id.
func NewRequestID() (string, error) {
	var b [12]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make request id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

func call[Q, R any](ctx context.Context, c *Client, q Q,
	method func(pb.RunServiceClient, context.Context, Q, ...grpc.CallOption) (R, error),
) (out R, err error) {
	err = c.finder.Do(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		out, err = method(pb.NewRunServiceClient(conn), ctx, q)
		return err
	})
	return out, err
}

// Launch starts a run, or finds the one this request id started before.
func (c *Client) Launch(ctx context.Context, q *pb.LaunchRequest) (*pb.LaunchResponse, error) {
	return call(ctx, c, q, pb.RunServiceClient.Launch)
}

// Run answers one run, by id or unambiguous name.
func (c *Client) Run(ctx context.Context, name string) (*pb.Run, error) {
	return call(ctx, c, &pb.GetRunRequest{Run: name}, pb.RunServiceClient.GetRun)
}

// Runs lists all runs in launch order.
func (c *Client) Runs(ctx context.Context) ([]*pb.Run, error) {
	r, err := call(ctx, c, &pb.ListRunsRequest{}, pb.RunServiceClient.ListRuns)
	return r.GetRuns(), err
}

// Stop asks a run to checkpoint at the next step boundary and end.
func (c *Client) Stop(ctx context.Context, run string) error {
	id, err := NewRequestID()
	if err != nil {
		return err
	}
	_, err = call(ctx, c, &pb.StopRequest{RequestId: id, Run: run}, pb.RunServiceClient.Stop)
	return err
}

// Resume wakes a run, with recorded path=value edits.
func (c *Client) Resume(ctx context.Context, run string, set []string) error {
	id, err := NewRequestID()
	if err != nil {
		return err
	}
	_, err = call(ctx, c, &pb.ResumeRequest{RequestId: id, Run: run, Set: set},
		pb.RunServiceClient.Resume)
	return err
}

// SetWeights changes the mixture of a run from a future step on, as a recorded edit.
func (c *Client) SetWeights(ctx context.Context, run string, weights []*pb.NamedWeight,
	fromStep uint64,
) error {
	id, err := NewRequestID()
	if err != nil {
		return err
	}
	_, err = call(ctx, c, &pb.SetWeightsRequest{RequestId: id, Run: run, Weights: weights,
		FromStep: fromStep}, pb.RunServiceClient.SetWeights)
	return err
}

// Status asks one member, whichever answers, who leads.
func (c *Client) Status(ctx context.Context) (out *pb.StatusResponse, err error) {
	err = c.finder.Do(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		out, err = pb.NewClusterServiceClient(conn).Status(ctx, &pb.StatusRequest{})
		return err
	})
	return out, err
}

// Workers lists the workers and their leases.
func (c *Client) Workers(ctx context.Context) (out []*pb.WorkerStatus, err error) {
	err = c.finder.Do(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		r, err := pb.NewClusterServiceClient(conn).ListWorkers(ctx, &pb.ListWorkersRequest{})
		out = r.GetWorkers()
		return err
	})
	return out, err
}

// Drain takes a worker out of the plans, or back in.
func (c *Client) Drain(ctx context.Context, worker string, back bool) error {
	id, err := NewRequestID()
	if err != nil {
		return err
	}
	return c.finder.Do(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := pb.NewClusterServiceClient(conn).DrainWorker(ctx,
			&pb.DrainWorkerRequest{RequestId: id, Worker: worker, Back: back})
		return err
	})
}
