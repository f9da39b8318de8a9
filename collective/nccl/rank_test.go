package nccl_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/banyan-train/banyan/collective"
	"github.com/banyan-train/banyan/collective/nccl"
	"github.com/banyan-train/banyan/collective/nccl/fake"
	"github.com/banyan-train/banyan/collective/tcp"
	"github.com/banyan-train/banyan/gpu/cuda"
)

// envRank holds, in a process that is a rank, its task.
const envRank = "BANYAN_TEST_RANK"

// task is what a rank process does: it joins and moves data in rounds.
type task struct {
	Dirs                            []string // of the libraries: by rank, or of all
	Rank, World                     int
	Generation                      uint64
	Rounds                          int
	JoinTimeout, OpTimeout, Aborted time.Duration
	Cause                           time.Duration
}

// outcome is what it says at its end.
type outcome struct {
	Join, Work, Close string // errors
	AbortHangs        bool
}

// rankMain is the rank process: it prints its address, reads everybody's and does its task.
func rankMain() {
	var k task
	if err := json.Unmarshal([]byte(os.Getenv(envRank)), &k); err != nil {
		panic(err)
	}
	l, err := tcp.Listen("127.0.0.1")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	var peers []string
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &peers)
	}
	if err != nil {
		panic(err)
	}
	go func() { // an orphan ends
		_, _ = io.Copy(io.Discard, in)
		os.Exit(3)
	}()
	out, err := json.Marshal(k.run(l, peers))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(out))
}

func (k *task) run(l *tcp.Listener, peers []string) (o outcome) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	g, err := k.join(ctx, l, peers)
	if err != nil {
		return outcome{Join: err.Error(), AbortHangs: errors.Is(err, nccl.ErrAbortHangs)}
	}
	for round := 0; round < k.Rounds && err == nil; round++ {
		err = rounds(ctx, g, round)
	}
	if err != nil {
		o.Work = err.Error()
	}
	if err := g.Close(); err != nil {
		o.Close, o.AbortHangs = err.Error(), errors.Is(err, nccl.ErrAbortHangs)
	}
	return o
}

func (k *task) join(ctx context.Context, l *tcp.Listener, peers []string) (*nccl.Group, error) {
	control, err := l.Join(ctx, tcp.Config{Run: "run-1", Generation: k.Generation,
		Rank: collective.Rank(k.Rank), Peers: peers, OpTimeout: patience})
	if err != nil {
		return nil, err
	}
	m := machine{dir: k.Dirs[min(k.Rank, len(k.Dirs)-1)]}
	dev := (*cuda.Device)(nil)
	if err = m.load(); err == nil {
		dev, err = m.driver.Open(k.Rank, cuda.Options{})
	}
	if err != nil {
		control.Abort(err) // so that the peers hear why
		_ = control.Close()
		return nil, err
	}
	if k.JoinTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.JoinTimeout)
		defer cancel()
	}
	return nccl.Join(ctx, nccl.Config{Library: m.lib, Device: dev, Control: control,
		OpTimeout: k.OpTimeout, AbortTimeout: k.Aborted, CauseTimeout: k.Cause, Staging: 1 << 20})
}

// rounds moves a few MiB and checks them.
func rounds(ctx context.Context, g collective.Group, round int) error {
	const n = 300_000
	value := func(from, to, i int) float32 {
		return math.Float32frombits(uint32(from<<28 ^ to<<24 ^ i ^ round<<20))
	}
	me := int(g.Rank())
	counts := make([]int, g.Size())
	recv, send := make([][]float32, g.Size()), make([][]float32, g.Size())
	for r := range counts {
		counts[r] = n
		recv[r], send[r] = make([]float32, n), make([]float32, n)
		for i := range n {
			send[r][i] = value(me, r, i)
		}
	}
	all := make([]float32, n*g.Size())
	copy(recv[me], send[me])
	come, to := slices.Clone(counts), slices.Clone(send)
	come[me], to[me] = 0, nil
	var over atomic.Bool
	first := g.AllToAllFunc(come, to, func(from collective.Rank, at int, part []float32) error {
		if over.Load() {
			panic("a piece after Wait")
		}
		copy(recv[from][at:], part)
		return nil
	})
	second := g.AllGather(all, counts, send[0])
	err := first.Wait(ctx)
	over.Store(true)
	if err := errors.Join(err, second.Wait(ctx)); err != nil {
		return err
	}
	for r := range counts {
		for i := range n {
			if math.Float32bits(recv[r][i]) != math.Float32bits(value(r, me, i)) ||
				math.Float32bits(all[r*n+i]) != math.Float32bits(value(r, 0, i)) {
				return fmt.Errorf("round %d: element %d from rank %d is wrong", round, i, r)
			}
		}
	}
	return nil
}

// process is a rank as the test sees it.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// world runs a generation, each rank with its own faults, and answers what the ranks said; nil for
// one that died.
func world(t *testing.T, k task, faults map[int]string) []*outcome {
	t.Helper()
	ranks, peers := make([]*process, k.World), make([]string, k.World)
	for r := range ranks {
		if k.Rank, k.Cause = r, 0; faults[r] == "" {
			k.Cause = patience // what it suffers comes from a peer, which will say so
		}
		ranks[r] = start(t, k, faults[r])
	}
	for r, p := range ranks {
		line, err := p.out.ReadString('\n')
		if err != nil {
			t.Fatalf("rank %d does not begin: %v", r, err)
		}
		peers[r] = strings.TrimSpace(line)
	}
	text, err := json.Marshal(peers)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	out := make([]*outcome, k.World)
	each(t, k.World, func(ctx context.Context, r int) error {
		p := ranks[r]
		if _, err := p.in.Write(text); err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
		defer stop()
		line, err := p.out.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &out[r])
		}
		if errors.Is(err, io.EOF) && ctx.Err() == nil {
			err = nil // it died
		}
		return errors.Join(err, ctx.Err())
	})
	return out
}

func start(t *testing.T, k task, faults string) *process {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), envRank+"="+string(text))
	if faults != "" {
		p.cmd.Env = append(p.cmd.Env, fake.EnvFaults+"="+faults)
	}
	p.cmd.Stderr = os.Stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}
