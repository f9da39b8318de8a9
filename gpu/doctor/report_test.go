package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/fake"
)

// host is a search that finds fakes of everything.
func host(t *testing.T, faults string, flags ...string) gpu.Search {
	t.Helper()
	dir := fake.Build(t, fake.Options{Faults: faults})
	for _, name := range []string{"libnccl.so.2", "libcublasLt.so.12", "libcudnn.so.9"} {
		if err := fake.Library(filepath.Join(dir, name), []string{"testdata/versions.c"},
			flags...); err != nil {
			t.Fatal(err)
		}
	}
	return gpu.Search{Named: []string{dir}}
}

// TestDocumentListsEveryVersionFunction: docs/GPU.md names what is called of libraries that nothing
// else uses yet.
func TestDocumentListsEveryVersionFunction(t *testing.T) {
	text, err := os.ReadFile("../../docs/GPU.md")
	if err != nil {
		t.Fatal(err)
	}
	for lib, function := range versions {
		if !strings.Contains(string(text), "| "+function+" | ") {
			t.Errorf("docs/GPU.md does not list %s of %s", function, lib)
		}
	}
}

func missing(r Report) []string {
	var out []string
	for _, n := range r.Needs {
		if !n.OK {
			out = append(out, n.What+": "+n.Missing)
		}
	}
	return out
}

var cpuHost = Host{Cores: 4, Classes: []string{"generic"}}

func TestWholeHost(t *testing.T) {
	r := Examine(host(t, "devices 2"), cpuHost)
	if lacks := missing(r); len(lacks) > 0 || !r.CanTrain() {
		t.Errorf("lacks %q", lacks)
	}
	var found []string
	for _, l := range r.Libraries {
		found = append(found, l.Name+" "+l.Version)
		if l.Path == "" || l.Problem != "" {
			t.Errorf("%+v", l)
		}
	}
	want := []string{"libcuda CUDA 12.8", "libnvrtc CUDA 12.99", "libnccl 2.30.7",
		"libcublasLt 13.4.1", "libcudnn 9.26.0"}
	if !slices.Equal(found, want) {
		t.Errorf("found %q", found)
	}
	if len(r.Devices) != 2 || r.Devices[1].Name != "Fake GPU 1" || r.Devices[1].Arch != "sm_90" ||
		r.Devices[1].MemoryBytes != 1<<30 {
		t.Errorf("devices %+v", r.Devices)
	}
}

func TestWhatIsTooOld(t *testing.T) {
	r := Examine(host(t, "arch 75", "-DNCCL=21799"), cpuHost)
	want := []string{"drive a GPU: a GPU of sm_80 or newer",
		"move bytes between GPUs: libnccl, a GPU of sm_80 or newer",
		"multiply matrices on a GPU: a GPU of sm_80 or newer",
		"use cuDNN's attention (optional): a GPU of sm_80 or newer"}
	if lacks := missing(r); !slices.Equal(lacks, want) {
		t.Errorf("lacks %q, want %q", lacks, want)
	}
	if p := r.Libraries[2].Problem; p != "older than 2.18" {
		t.Errorf("NCCL 2.17.99: %q", p)
	}
	if p := r.Devices[0].Problem; p != "older than sm_80" {
		t.Errorf("sm_75: %q", p)
	}
}

func TestDriverThatDoesNotStart(t *testing.T) {
	r := Examine(host(t, "fail cuInit 1 999"), Host{Cores: 1})
	want := []string{"train on the CPU: an ISA class; see BANYAN_ISA", "drive a GPU: libcuda",
		"move bytes between GPUs: libcuda", "multiply matrices on a GPU: libcuda",
		"use cuDNN's attention (optional): libcuda"}
	if lacks := missing(r); !slices.Equal(lacks, want) || r.CanTrain() {
		t.Errorf("lacks %q, want %q", lacks, want)
	}
	if p := r.Libraries[0].Problem; !strings.Contains(p, "CUDA_ERROR_UNKNOWN (999)") {
		t.Errorf("libcuda: %q", p)
	}
}

// TestLibraryThatIsAnother: a file of the right name that tells no version.
func TestLibraryThatIsAnother(t *testing.T) {
	r := Examine(host(t, "", "-DncclGetVersion=other"), cpuHost)
	if p := r.Libraries[2].Problem; p != "it does not tell its version" {
		t.Errorf("libnccl: %q", p)
	}
}
