package local

import (
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func save(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRead: what cannot be a cluster is refused with the file's name.
func TestRead(t *testing.T) {
	one := `{"members":[{"id":"c1","grpc":"g:1","raft":"r:1","nats":"n:1"}],"secret":"s"}`
	c, err := Read(save(t, one))
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Members[0]; m != (Member{"c1", "g:1", "r:1", "n:1"}) || c.Secret != "s" ||
		!slices.Equal(c.Addresses(), []string{"g:1"}) {
		t.Errorf("read %+v", c)
	}
	for text, want := range map[string]string{
		`{`:                      "cluster.json: unexpected end of JSON",
		`{"members":[]}`:         "0 members; a group has 1, 3 or 5",
		`{"members":[{},{}]}`:    "2 members; a group has 1, 3 or 5",
		`{"members":"all"}`:      "cluster.json",
		`[{"id":"c1"}]`:          "cluster.json",
		`{"members":[{"id":3}]}`: "cluster.json",
	} {
		if _, err := Read(save(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", text, want, err)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestPIDs(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadPIDs(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	want := map[string]int{"c1": 10, "w1": 11}
	if err := write(filepath.Join(dir, pidsFile), want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadPIDs(dir); err != nil || !maps.Equal(got, want) {
		t.Errorf("read %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, pidsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPIDs(dir); err == nil || !strings.Contains(err.Error(), pidsFile) {
		t.Errorf("half a file: %v", err)
	}
}

// TestI12_ClusterFileIsPrivate: it holds the telemetry's secret.
func TestI12_ClusterFileIsPrivate(t *testing.T) {
	c := Config{Coordinators: 3, Dir: t.TempDir()}
	if _, err := c.cluster(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(c.Dir, "cluster.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestAddresses: free ports differ, chosen ones are where they are asked for, and an occupied one
// is named.
func TestAddresses(t *testing.T) {
	members, err := addresses(5, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range members {
		for _, a := range []string{m.GRPC, m.Raft, m.NATS} {
			if seen[a] {
				t.Errorf("%s is used twice", a)
			}
			seen[a] = true
		}
	}
	if members[0].ID != "c1" || members[4].ID != "c5" {
		t.Errorf("ids: %v", members)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = addresses(1, port)
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) ||
		!strings.Contains(err.Error(), "--port") {
		t.Errorf("want the occupied port %d and what to do, got %v", port, err)
	}
}

// TestClusterIsKept: the Raft group's members are known by their addresses, so a second up in the
// same folder uses the first one's, and a group of another size is refused.
func TestClusterIsKept(t *testing.T) {
	c := Config{Coordinators: 3, Dir: t.TempDir()}
	first, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.cluster()
	if err != nil || !slices.Equal(first.Members, second.Members) || first.Secret != second.Secret ||
		len(first.Secret) < 32 {
		t.Errorf("first %+v, then %+v, %v", first, second, err)
	}
	c.Coordinators = 1
	if _, err := c.cluster(); err == nil || !strings.Contains(err.Error(), "3 coordinators, not 1") {
		t.Errorf("another size: %v", err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "cluster.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.cluster(); err == nil {
		t.Error("a broken cluster file is silently replaced")
	}
}

func TestPrepare(t *testing.T) {
	for _, c := range []Config{{Coordinators: 0}, {Coordinators: 2}, {Coordinators: 7},
		{Coordinators: 1, Workers: -1}, {Coordinators: 1, Dir: "/dev/null/x"}} {
		if err := c.prepare(); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	t.Chdir(t.TempDir())
	c := Config{Coordinators: 1, Workers: 1000, Dir: "d"}
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(c.Dir) || c.Threads != 1 || c.Executable == "" {
		t.Errorf("defaults: %+v", c)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "logs")); err != nil {
		t.Error(err)
	}
}

// TestUpNamesTheChildThatEnded: when a process of the cluster does not start, up says which and
// where its log is, and leaves nothing behind.
func TestUpNamesTheChildThatEnded(t *testing.T) {
	no, err := os.Executable() // this test binary knows no coordinator command
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BANYAN_TEST_END", "1")
	began := time.Now()
	err = Up(t.Context(), Config{Coordinators: 1, Dir: t.TempDir(), Executable: no, Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "c1 ended: exit status 7") ||
		!strings.Contains(err.Error(), "c1.log") {
		t.Errorf("want the child and its log, got %v", err)
	}
	if took := time.Since(began); took > readyTimeout/3 {
		t.Errorf("it took %v to see that a child had ended", took)
	}
}

// TestMain lets the test binary stand for a process that ends at once.
func TestMain(m *testing.M) {
	if os.Getenv("BANYAN_TEST_END") != "" {
		os.Exit(7)
	}
	os.Exit(m.Run())
}

// TestOneUpAFolder: a second up in the folder of a live one is refused before it starts anything.
func TestOneUpAFolder(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	none := Config{Coordinators: 1, Dir: dir, Executable: "/nosuch/banyan", Out: io.Discard}
	if err := Up(t.Context(), none); err == nil || !strings.Contains(err.Error(), dir+"; stop it") {
		t.Errorf("a second up: %v, want it refused with the folder named", err)
	}
	unlock()
	if err := Up(t.Context(), none); err == nil || !strings.Contains(err.Error(), "start c1") {
		t.Errorf("after the first has ended: %v, want it to start c1", err)
	}
}
