package consensus

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/banyan-train/banyan/internal/testkit"
)

func openTestStore(t *testing.T, dir string) *boltStore {
	t.Helper()
	s, err := openStore(dir, newFailStop(dir, func() {}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreKeepsWhatRaftExpects(t *testing.T) {
	dir := t.TempDir()
	s := openTestStore(t, dir)
	if v, err := s.GetUint64([]byte("none")); v != 0 || err != nil {
		t.Errorf("missing number: %d, %v; raft wants 0 and no error", v, err)
	}
	if v, err := s.Get([]byte("none")); v != nil || err != nil {
		t.Errorf("missing value: %q, %v; raft wants nil and no error", v, err)
	}
	if err := s.GetLog(1, &raft.Log{}); err != raft.ErrLogNotFound {
		t.Errorf("missing entry: %v; raft compares with ErrLogNotFound", err)
	}
	var logs []*raft.Log
	for i := uint64(5); i <= 300; i++ {
		logs = append(logs, &raft.Log{
			Index: i, Term: i / 7, Type: raft.LogConfiguration, Data: []byte(fmt.Sprint("data", i)),
			Extensions: []byte("ext"), AppendedAt: time.Unix(0, int64(i)),
		})
	}
	if err := errors.Join(s.StoreLogs(logs), s.Set([]byte("k"), []byte("v")),
		s.SetUint64([]byte("n"), 7), s.DeleteRange(0, 9), s.DeleteRange(290, 400)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTestStore(t, dir)
	defer s.Close()
	first, err1 := s.FirstIndex()
	last, err2 := s.LastIndex()
	if first != 10 || last != 289 || err1 != nil || err2 != nil {
		t.Errorf("log reaches from %d to %d (%v, %v), want 10 to 289", first, last, err1, err2)
	}
	for i := first; i <= last; i++ {
		var l raft.Log
		if err := s.GetLog(i, &l); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if want := logs[i-5]; fmt.Sprint(l) != fmt.Sprint(*want) {
			t.Fatalf("entry %d: %v, want %v", i, l, *want)
		}
	}
	v, _ := s.Get([]byte("k"))
	if n, _ := s.GetUint64([]byte("n")); string(v) != "v" || n != 7 {
		t.Errorf("stable values %q and %d, want v and 7", v, n)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := raft.Log{
			Index: rapid.Uint64().Draw(t, "index"), Term: rapid.Uint64().Draw(t, "term"),
			Type:       raft.LogType(rapid.Byte().Draw(t, "type")),
			Data:       rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
			Extensions: rapid.SliceOf(rapid.Byte()).Draw(t, "ext"),
		}
		b := encodeRecord(&in)
		var out raft.Log
		if err := decodeRecord(in.Index, b, &out); err != nil {
			t.Fatal(err)
		}
		if string(out.Data) != string(in.Data) || string(out.Extensions) != string(in.Extensions) ||
			out.Term != in.Term || out.Type != in.Type || !out.AppendedAt.IsZero() {
			t.Fatalf("got %v, want %v", out, in)
		}
		bit := rapid.IntRange(0, 8*len(b)-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		if err := decodeRecord(in.Index, b, &out); !errors.Is(err, errRecord) {
			t.Fatalf("bit %d flipped: got %v, want a damaged record", bit, err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(uint64(3), encodeRecord(&raft.Log{Index: 3, Data: []byte("x"), Extensions: []byte("y")}))
	f.Add(uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, index uint64, b []byte) {
		var l raft.Log
		if err := decodeRecord(index, b, &l); err == nil && l.Index != index {
			t.Error("entry under a wrong index")
		}
	})
}

func TestLockedFileIsAClearError(t *testing.T) {
	g := startGroup(t, 1, nil)
	cfg := g.config("c0")
	cfg.Bind = "127.0.0.1:0"
	begin := time.Now()
	c, err := Start(cfg, newTape())
	if err == nil {
		_ = c.Close()
		t.Fatal("two members on one directory")
	}
	if !strings.Contains(err.Error(), "another process holds it") ||
		!strings.Contains(err.Error(), filepath.Join(cfg.Dir, dbFile)) {
		t.Errorf("error names neither reason nor file: %v", err)
	}
	if d := time.Since(begin); d > testkit.Patience {
		t.Errorf("took %v", d)
	}
}

// Damage anywhere in the file is found at Start, or harmless; it never panics.
func TestI13DamagedFiles(t *testing.T) {
	g := startGroup(t, 1, nil)
	for i := range 60 {
		g.propose(strings.Repeat("x", 200) + fmt.Sprint(i))
	}
	want := g.sameState()
	g.kill("c0")
	path := filepath.Join(g.dir("c0"), dbFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	try := func(name string, bad []byte) {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := g.config("c0")
		cfg.HeartbeatTimeout = time.Minute // it need not get to leading
		cfg.ElectionTimeout = time.Minute
		m := newTape()
		c, err := Start(cfg, m)
		if err == nil {
			if err := c.close(false); err != nil {
				t.Errorf("%s: close: %v", name, err)
			}
			return
		}
		refused++
		if !strings.Contains(err.Error(), cfg.Dir) {
			t.Errorf("%s: error does not name the file: %v", name, err)
		}
	}
	for _, size := range []int{1, 100, 4096, 9000, len(good) / 2, len(good) - 4096} {
		try(fmt.Sprintf("cut to %d", size), good[:size])
	}
	for at := 16; at < len(good); at += 1021 {
		bad := append([]byte(nil), good...)
		for i := at; i < min(at+16, len(bad)); i++ {
			bad[i] ^= 0xa5
		}
		try(fmt.Sprintf("damaged at %d", at), bad)
	}
	if refused < 10 {
		t.Errorf("only %d of the damaged files were refused", refused)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	g.start("c0")
	g.leader()
	if string(g.sameState()) != string(want) {
		t.Error("the undamaged file gives another state")
	}
}

func TestPartialSnapshotsAreRemoved(t *testing.T) {
	g := startGroup(t, 1, nil)
	g.propose("x")
	g.kill("c0")
	tmp := filepath.Join(g.dir("c0"), "snapshots", "2-9-1.tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	g.start("c0")
	if _, err := os.Stat(tmp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

const childEnv = "BANYAN_TEST_CONSENSUS_DIR"

// runChild is a member of a group of one in a process of its own. It prints each acknowledged
// request.
func runChild(dir string) int {
	cfg := Config{
		ID: "solo", Bind: "127.0.0.1:0", Dir: dir, Logger: zerolog.Nop(), Fatal: func(error) {},
		Members:          []Member{{"solo", "127.0.0.1:1"}},
		HeartbeatTimeout: 50 * time.Millisecond, ElectionTimeout: 50 * time.Millisecond,
	}
	c, err := Start(cfg, newTape())
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	for l := range c.LeaderCh() {
		for i := 0; l.Leader; i++ {
			id := fmt.Sprintf("%d-%d", l.Epoch, i)
			if proposeOn(c, id) != nil {
				break
			}
			fmt.Println(id)
		}
	}
	return 0
}

// A process killed with SIGKILL in mid-write keeps every entry it acknowledged, three times over.
func TestI5ProcessKilled(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			acked[lines.Text()] = true
			if n == 100 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
	}
	m := newTape()
	c, err := Start(Config{
		ID: "solo", Bind: "127.0.0.1:0", Dir: dir, Logger: zerolog.Nop(), Fatal: func(error) {},
		Members: []Member{{"solo", "127.0.0.1:1"}},
	}, m)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	testkit.Eventually(t, "leader", func() bool { _, ok := c.IsLeader(); return ok })
	if len(acked) < 300 {
		t.Errorf("only %d acknowledged", len(acked))
	}
	for id := range acked {
		if !m.has(id) {
			t.Errorf("acknowledged %q is lost", id)
		}
	}
}
