package metrics

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/banyan-train/banyan/client"
	"github.com/banyan-train/banyan/internal/testkit"
	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a cluster that says what a test wants.
type fake struct {
	mu      sync.Mutex
	down    bool
	runs    []*pb.Run
	records map[string][]*pb.StepRecord
	from    map[string][]uint64 // where watches began
}

var errDown = errors.New("no coordinator leads")

func (f *fake) Status(context.Context) (*pb.StatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &pb.StatusResponse{LeaderAddress: "h2:1", Members: []*pb.Member{
		{Id: "c1", GrpcAddress: "h1:1"}, {Id: "c2", GrpcAddress: "h2:1"}}}
	if f.down {
		s.LeaderAddress = ""
	}
	return s, nil
}

func (f *fake) Runs(context.Context) ([]*pb.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, errDown
	}
	return f.runs, nil
}

func (f *fake) Workers(context.Context) ([]*pb.WorkerStatus, error) {
	return []*pb.WorkerStatus{
		{Info: &pb.WorkerInfo{Id: "w1", Devices: 2}, Live: true, SinceHeartbeatMs: 250,
			Serving: []string{"r1/2/0", "r1/2/1"}},
		{Info: &pb.WorkerInfo{Id: "w2", Devices: 1}, Drained: true},
	}, nil
}

// Watch gives the records after the cursor and ends, as if the run were over.
func (f *fake) Watch(_ context.Context, run string, from client.Cursor,
	fn func(*pb.WatchItem) error, _ func(error),
) error {
	f.mu.Lock()
	records := f.records[run]
	f.from[run] = append(f.from[run], from.Step)
	f.mu.Unlock()
	for _, s := range records {
		if s.GetStep() > from.Step {
			if err := fn(&pb.WatchItem{Item: &pb.WatchItem_Step{Step: s}}); err != nil {
				return err
			}
		}
	}
	return nil
}

func newFake() *fake {
	run := func(id string, s pb.RunState) *pb.Run {
		return &pb.Run{Id: id, State: s, Generation: 2, Failures: 1,
			Resolved: &pb.ResolvedRun{TotalSteps: 100, Spec: &pb.RunSpec{Name: "zh"}},
			Ranks:    []*pb.RankPlace{{}, {}},
			Checkpoints: []*pb.CheckpointRef{{Step: 10}, {Step: 20},
				{Step: 30, Corrupt: true}}}
	}
	eval := func(step uint64, loss float64) []*pb.EvalResult {
		return []*pb.EvalResult{{Set: "en-held", Lang: "en", Loss: loss, BaseLoss: 3.5}}
	}
	return &fake{from: map[string][]uint64{},
		runs: []*pb.Run{run("r1", pb.RunState_RUNNING), run("r2", pb.RunState_FAILED)},
		records: map[string][]*pb.StepRecord{"r1": {
			{Step: 20, Loss: 9, Eval: eval(20, 3.25)},
			{Step: 21, Loss: 2.5, GradNorm: 0.75, Lr: 1e-4, Tokens: 21_000, Skipped: "a spike",
				LossByLang:   []*pb.GroupLoss{{Name: "en", Loss: 2.25}, {Name: "zh", Loss: 2.75}},
				LossBySource: []*pb.GroupLoss{{Name: "wiki", Loss: 2.5}},
				Timings:      &pb.Timings{UnixMs: 1_500, StepS: 0.5, DataS: 0.125, CommS: 0.0625}}}}}
}

// know lets an exporter take in what there is.
func know(t *testing.T, e *Exporter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var watches sync.WaitGroup
	e.look(ctx, &watches)
	watches.Wait()
}

// TestScrape compares a scrape with testdata/scrape.txt, by Prometheus's own parser.
func TestScrape(t *testing.T) {
	f := newFake()
	e := New(f, zerolog.Nop())
	know(t, e)
	want, err := os.Open("testdata/scrape.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = want.Close() }()
	if err := testutil.CollectAndCompare(e, want); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(e); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if got := f.from["r1"]; len(got) != 1 || got[0] != 19 || len(f.from["r2"]) > 0 {
		t.Errorf("watches began at %v", f.from)
	}
}

// TestNobodyAnswers: banyan_up is 0, and nothing old is shown.
func TestNobodyAnswers(t *testing.T) {
	f := newFake()
	e := New(f, zerolog.Nop())
	know(t, e)
	f.down = true
	rec := httptest.NewRecorder()
	e.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != 200 {
		t.Fatalf("status %d, %v", rec.Code, err)
	}
	if !strings.Contains(string(body), "\nbanyan_up 0\n") ||
		strings.Contains(string(body), "banyan_run") || strings.Contains(string(body), "_worker") {
		t.Errorf("scraped %s", body)
	}
}

// TestFollow: a run that is launched later is followed, even if it is over before anybody looks;
// one that ends is not watched again, one that is no more is forgotten.
func TestFollow(t *testing.T) {
	f := newFake()
	late := f.runs
	f.runs = nil
	e := New(f, zerolog.Nop())
	know(t, e)
	f.runs = late
	know(t, e)
	if s, _ := e.known("r1"); s.GetStep() != 21 {
		t.Fatalf("newest record %v", s)
	}
	if n := len(f.from["r2"]); n != 1 {
		t.Errorf("%d watches of a run that was over at once", n)
	}
	late[0].State = pb.RunState_SUCCEEDED
	know(t, e)
	if n := len(f.from["r1"]); n != 1 {
		t.Errorf("%d watches", n)
	}
	f.runs = nil
	know(t, e)
	if s, _ := e.known("r1"); s != nil {
		t.Errorf("still known: %v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	f.runs = newFake().runs
	go func() {
		defer close(ended)
		e.Follow(ctx)
	}()
	testkit.Eventually(t, "the newest record", func() bool {
		s, _ := e.known("r1")
		return s.GetStep() == 21
	})
	cancel()
	<-ended
}
