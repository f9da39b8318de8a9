package settings_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/collective/nccl/settings"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"NCCL_SOCKET_IFNAME", "=eth0,eth1", ""},
		{"NCCL_IB_HCA", "^=mlx5_3:1", ""},
		{"NCCL_DEBUG", "INFO", ""},
		{"NCCL_ALGO", "ring;allreduce:^tree", ""},
		{"NCCL_" + strings.Repeat("A", settings.MostName-5), strings.Repeat("x", settings.MostValue), ""},
		{"NCCL_PROTO", "Simple", ""},
		{"NCCL_PROTO", "ll,SIMPLE", ""},
		{"NCCL_PROTO", "^LL128", ""},
		{"NCCL_PROTO", "^LL,LL128", ""},
		{"NCCL_PROTO", "LL128", "corrupts data"},
		{"NCCL_PROTO", "Simple,ll128", "corrupts data"},
		{"NCCL_PROTO", "^LL", "corrupts data"}, // all others are then forced
		{"NCCL_PROTO", "Simple;allreduce:LL128", "corrupts data"},
		{"NCCL_PROTO", "^LL128;allreduce:Simple", "corrupts data"},
		{"NCCL_PROTO", "^ LL128", "corrupts data"},
		{"NCCL_PROTO", "", "is empty"},
		{"", "x", "no variable of NCCL"},
		{"NCCL_", "x", "no variable of NCCL"},
		{"LD_PRELOAD", "x", "no variable of NCCL"},
		{"TORCH_NCCL_DEBUG", "x", "no variable of NCCL"},
		{"NCCL_debug", "x", "no variable of NCCL"},
		{"NCCL_A=B", "x", "no variable of NCCL"},
		{"NCCL_A\x00", "x", "no variable of NCCL"},
		{"NCCL_" + strings.Repeat("A", settings.MostName-4), "x", "has 65 bytes, at most 64"},
		{"NCCL_DEBUG", "", "is empty"},
		{"NCCL_DEBUG", strings.Repeat("x", settings.MostValue+1), "has 1025 bytes, at most 1024"},
		{"NCCL_DEBUG", "WARN\nNCCL_COMM_ID=a", "not to be printed"},
		{"NCCL_DEBUG", "WARN\x00", "not to be printed"},
		{"NCCL_DEBUG", "\x7f", "not to be printed"},
		{"NCCL_SOCKET_IFNAME", "網", "not to be printed"},
		{"NCCL_SOCKET_IFNAME", "\xff", "not to be printed"},
		{"NCCL_COMM_BLOCKING", "0", "beyond any deadline"},
		{"NCCL_COMM_ID", "10.0.0.1:99", "an id of its own"},
		{"NCCL_NET_PLUGIN", "none", "loads code"},
		{"NCCL_ENV_PLUGIN", "x.so", "loads code"},
		{"NCCL_TOPO_DUMP_FILE", "/etc/passwd", "overwrites a file"},
	} {
		err := settings.Check(c.name, c.value)
		switch {
		case (err == nil) != (c.want == ""):
			t.Errorf("%q=%q: error %v, want %q", c.name, c.value, err, c.want)
		case err == nil:
		case !strings.Contains(err.Error(), c.want) || err.Fix == "":
			t.Errorf("%q=%q: error %v, want %q and a fix", c.name, c.value, err, c.want)
		}
	}
}

// TestEveryRefusedNameIsRefused: whatever stands in the list, with any value.
func TestEveryRefusedNameIsRefused(t *testing.T) {
	for _, r := range settings.List() {
		name := strings.ReplaceAll(r.Name, "*", "ANY")
		err := settings.Check(name, "1")
		if err == nil || !strings.Contains(err.Why, r.Why) || err.Fix != r.Fix {
			t.Errorf("%s: error %v, want %q", name, err, r.Why)
		}
		if err := settings.CheckAll(map[string]string{"NCCL_DEBUG": "WARN", name: "1"}); err == nil {
			t.Errorf("%s among others: no error", name)
		}
	}
}

func TestCheckAll(t *testing.T) {
	set := map[string]string{}
	for i := range settings.Most {
		set[fmt.Sprintf("NCCL_A%d", i)] = "1"
	}
	if err := settings.CheckAll(set); err != nil {
		t.Error(err)
	}
	set["NCCL_B"] = "1"
	if err := settings.CheckAll(set); err == nil || !strings.Contains(err.Error(), "65 settings") {
		t.Errorf("too many: error %v", err)
	}
	if err := settings.CheckAll(nil); err != nil {
		t.Error(err)
	}
}

func TestCheckEnvironment(t *testing.T) {
	for name, refused := range map[string]bool{"NCCL_COMM_BLOCKING": true, "NCCL_COMM_ID": true,
		"NCCL_NET_PLUGIN": false, "NCCL_HOSTID": false, "NCCL_DEBUG": false} {
		err := settings.CheckEnvironment(func(n string) (string, bool) { return "", n == name })
		if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want one: %t", name, err, refused)
		}
	}
}

// TestDocumentListsWhatIsRefused: the table of docs/GPU.md is the list.
func TestDocumentListsWhatIsRefused(t *testing.T) {
	text, err := os.ReadFile("../../../docs/GPU.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, r := range settings.List() {
		where := "in a run"
		if r.Nowhere {
			where = "anywhere"
		}
		fmt.Fprintf(&want, "| %s | %s | %s |\n", r.Name, where, r.Why)
	}
	if !strings.Contains(string(text), "|---|---|---|\n"+want.String()) {
		t.Errorf("docs/GPU.md has another table than this:\n%s", want.String())
	}
}
