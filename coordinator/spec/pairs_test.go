package spec

import (
	"strings"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// readUnchecked reads a spec without looking whether a run could have it.
func readUnchecked(t *testing.T, text string) *pb.RunSpec {
	t.Helper()
	p := &parser{file: "x.yaml"}
	s := &pb.RunSpec{}
	p.start()
	p.load([]byte(text))
	if len(p.errs) == 0 {
		p.message(p.root, "", s.ProtoReflect())
	}
	if len(p.errs) > 0 {
		t.Fatalf("%v\n%s", p.errs, text)
	}
	return s
}

// TestNcclSettings: they are kept in the order of their names, with the text that was written, and
// Format gives them back. No run can have them yet, so this is below Parse.
func TestNcclSettings(t *testing.T) {
	s := readUnchecked(t, `resources: {nccl: {NCCL_SOCKET_IFNAME: "=eth0,eth1",
  NCCL_IB_TIMEOUT: 022, NCCL_DEBUG: "1", NCCL_ALGO: "^tree"}}`)
	want := []*pb.NcclSetting{{Name: "NCCL_ALGO", Value: "^tree"}, {Name: "NCCL_DEBUG", Value: "1"},
		{Name: "NCCL_IB_TIMEOUT", Value: "022"}, {Name: "NCCL_SOCKET_IFNAME", Value: "=eth0,eth1"}}
	if !proto.Equal(s.Resources, &pb.Resources{Nccl: want}) {
		t.Errorf("read as %v, want %v", s.Resources, want)
	}
	text, err := Format(s)
	if err != nil {
		t.Fatal(err)
	}
	again := readUnchecked(t, string(text)).Resources.Nccl
	if !proto.Equal(&pb.Resources{Nccl: again}, &pb.Resources{Nccl: want}) {
		t.Errorf("Format loses something:\n%s", text)
	}
	for _, line := range []string{"NCCL_ALGO: ^tree\n", "NCCL_SOCKET_IFNAME: =eth0,eth1\n"} {
		if !strings.Contains(strings.ReplaceAll(string(text), `"`, ""), line) {
			t.Errorf("the plan does not show %q:\n%s", line, text)
		}
	}
}
