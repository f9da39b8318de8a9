package gpu

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/gpu/fake"
)

func pathsOf(ps []place) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.path)
	}
	return out
}

func TestOrderOfPlaces(t *testing.T) {
	s := Search{Named: []string{"/n"}, Folders: []string{"/f"}, Sites: []string{"/s"}, CUDA: 12040}
	want := []string{"/n/libcublasLt.so.12", "/n/lib64/libcublasLt.so.12", "/n/lib/libcublasLt.so.12",
		"/n/nvidia/cu13/lib/libcublasLt.so.12", "/n/nvidia/cublas/lib/libcublasLt.so.12",
		"libcublasLt.so.12", "/f/libcublasLt.so.12",
		"/s/nvidia/cu13/lib/libcublasLt.so.12", "/s/nvidia/cublas/lib/libcublasLt.so.12"}
	if got := pathsOf(s.places(CublasLt)); !slices.Equal(got, want) {
		t.Errorf("places %q, want %q", got, want)
	}
	s = Search{Folders: []string{"/f", "/g"}}
	want = []string{"libnvrtc.so.13", "libnvrtc.so.12", "/f/libnvrtc.so.13", "/g/libnvrtc.so.13",
		"/f/libnvrtc.so.12", "/g/libnvrtc.so.12"}
	if got := pathsOf(s.places(NVRTC)); !slices.Equal(got, want) {
		t.Errorf("places %q, want %q", got, want)
	}
}

// made is a library that no host has.
var made = Lib{Name: "libmade", Files: []File{{"libmade.so.13", 13}, {"libmade.so.12", 12}},
	Wheels: []string{"made"}, Install: "make it"}

func TestSearch(t *testing.T) {
	libs := fake.Build(t, fake.Options{})
	site := t.TempDir()
	wheel := filepath.Join(site, "nvidia", "made", "lib")
	damaged := t.TempDir()
	for _, err := range []error{os.MkdirAll(wheel, 0o755),
		os.Rename(filepath.Join(libs, "libnvrtc.so.12"), filepath.Join(wheel, "libmade.so.12")),
		os.WriteFile(filepath.Join(damaged, "libmade.so.12"), []byte("text"), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	lib, err := Search{Folders: []string{damaged}, Sites: []string{site}}.Open(made)
	if err != nil || lib.Path() != filepath.Join(wheel, "libmade.so.12") {
		t.Errorf("in a wheel: %v, %v", lib, err)
	}
	lib, err = Search{Named: []string{libs}}.Open(CUDA)
	if err != nil || lib.Path() != filepath.Join(libs, "libcuda.so.1") {
		t.Errorf("in a named folder: %v, %v", lib, err)
	}
	for name, c := range map[string]struct {
		s    Search
		want string
		none bool
	}{
		"nowhere":  {Search{}, "make it, or name its folder by --cuda-path or BANYAN_CUDA_PATH", true},
		"damaged":  {Search{Folders: []string{damaged}}, "does not load: " + damaged, true},
		"named":    {Search{Named: []string{damaged}, Sites: []string{site}}, damaged, false},
		"no named": {Search{Named: []string{"/no/such"}, Sites: []string{site}}, "/no/such", false},
		"too new": {Search{CUDA: 11080},
			"libmade.so.12 (passed over: the driver is of CUDA 11.8)", true},
	} {
		_, err := c.s.Open(made)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrNotFound) != c.none {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestNewSearch(t *testing.T) {
	home, venv := t.TempDir(), t.TempDir()
	site := filepath.Join(venv, "lib", "python3.11", "site-packages")
	if err := os.MkdirAll(site, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("VIRTUAL_ENV", venv)
	t.Setenv(EnvPath, "/from/env")
	if s := NewSearch(""); !slices.Equal(s.Named, []string{"/from/env"}) ||
		!slices.Contains(s.Sites, site) {
		t.Errorf("searches %+v", s)
	}
	if s := NewSearch("/a::/b"); !slices.Equal(s.Named, []string{"/a", "/b"}) {
		t.Errorf("searches %q first", s.Named)
	}
}

func TestVersions(t *testing.T) {
	if v := Version(12040); v.String() != "12.4" || v.Major() != 12 || Arch(90).String() != "sm_90" {
		t.Errorf("%s", v)
	}
}
