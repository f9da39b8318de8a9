package gpu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/banyan-train/banyan/gpu/dl"
)

// EnvPath names the environment variable with folders to look in first, as --cuda-path has them.
const EnvPath = "BANYAN_CUDA_PATH"

// ErrNotFound is in the chain when a library is nowhere.
var ErrNotFound = errors.New("library not found")

// Search says where libraries are looked for. The zero Search asks the loader only.
type Search struct {
	// Named are folders that a user named: they come first, and what is there must load.
	Named []string
	// Folders are those of drivers and toolkits, Sites those of Python packages.
	Folders, Sites []string
	// CUDA, if not 0, is the driver's version: libraries made for a newer major are passed over.
	CUDA Version
}

// NewSearch looks everywhere. list is what --cuda-path says, folders separated like those of PATH;
// if it is empty BANYAN_CUDA_PATH is taken.
func NewSearch(list string) Search {
	if list == "" {
		list = os.Getenv(EnvPath)
	}
	var named []string
	for _, dir := range filepath.SplitList(list) {
		if dir != "" {
			named = append(named, dir)
		}
	}
	return Search{Named: named, Folders: systemFolders(), Sites: sitePackages()}
}

// systemFolders are where drivers and toolkits lie, whether or not the loader knows.
func systemFolders() []string {
	return []string{"/usr/local/cuda/lib64", "/usr/local/cuda/compat", "/opt/cuda/lib64",
		"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib",
		"/usr/local/nvidia/lib64"}
}

// sitePackages are the folders of Python packages that this process can know of.
func sitePackages() []string {
	var out []string
	add := func(root, pattern string) {
		if root == "" {
			return
		}
		found, _ := filepath.Glob(filepath.Join(root, pattern)) // the patterns are well formed
		out = append(out, found...)
	}
	add(os.Getenv("VIRTUAL_ENV"), "lib/python3*/site-packages")
	add(os.Getenv("CONDA_PREFIX"), "lib/python3*/site-packages")
	home, _ := os.UserHomeDir()
	add(home, ".local/lib/python3*/site-packages")
	add("/usr/local", "lib/python3*/*-packages")
	add("/usr", "lib/python3*/*-packages")
	return out
}

// place is one file to try. A place without a slash is left to the loader.
type place struct {
	path  string
	named bool
}

// places lists where a library may be, in the order of package gpu's comment.
func (s Search) places(lib Lib) []place {
	var files []File
	for _, f := range lib.Files {
		if s.CUDA == 0 || f.Major <= s.CUDA.Major() {
			files = append(files, f)
		}
	}
	var out []place
	add := func(named bool, dirs ...string) {
		for _, f := range files {
			for _, dir := range dirs {
				out = append(out, place{filepath.Join(dir, f.Name), named})
			}
		}
	}
	for _, dir := range s.Named {
		add(true, append([]string{dir, filepath.Join(dir, "lib64"), filepath.Join(dir, "lib")},
			wheels(dir, lib)...)...)
	}
	add(false, "")
	add(false, s.Folders...)
	for _, site := range s.Sites {
		add(false, wheels(site, lib)...)
	}
	return out
}

func wheels(site string, lib Lib) []string {
	var out []string
	for _, w := range lib.Wheels {
		out = append(out, filepath.Join(site, "nvidia", w, "lib"))
	}
	return out
}

// Check wants every folder that a user named.
func (s Search) Check() error {
	for _, dir := range s.Named {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return fmt.Errorf("%s, named by --cuda-path or %s, is not a folder", dir, EnvPath)
		}
	}
	return nil
}

// Open loads the first that there is. If there is none the error is ErrNotFound with what the
// loader said of each file that it did find.
func (s Search) Open(lib Lib) (*dl.Library, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("load %s: %w", lib.Name, err)
	}
	var damaged []error
	for _, p := range s.places(lib) {
		file := strings.ContainsRune(p.path, filepath.Separator)
		if file {
			if _, err := os.Stat(p.path); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		l, err := dl.Open(p.path)
		switch {
		case err == nil:
			return l, nil
		case errors.Is(err, dl.ErrUnsupported):
			return nil, fmt.Errorf("load %s: %w", lib.Name, err)
		case p.named:
			return nil, fmt.Errorf("load %s from a folder of --cuda-path or %s: %w", lib.Name,
				EnvPath, err)
		case file:
			damaged = append(damaged, err)
		}
	}
	return nil, s.notFound(lib, damaged)
}

func (s Search) notFound(lib Lib, damaged []error) error {
	var names []string
	for _, f := range lib.Files {
		name := f.Name
		if s.CUDA != 0 && f.Major > s.CUDA.Major() {
			name += fmt.Sprintf(" (passed over: the driver is of CUDA %s)", s.CUDA)
		}
		names = append(names, name)
	}
	err := fmt.Errorf("load %s: %w: no %s; %s, or name its folder by --cuda-path or %s", lib.Name,
		ErrNotFound, strings.Join(names, " nor "), lib.Install, EnvPath)
	for _, d := range damaged {
		err = fmt.Errorf("%w; does not load: %w", err, d)
	}
	return err
}
