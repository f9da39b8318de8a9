package nvrtc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/banyan-train/banyan/gpu"
)

// EnvCubins names the environment variable with folders of cubins made ahead of time.
const EnvCubins = "BANYAN_CUBINS"

// Options say where cubins are kept.
type Options struct {
	// Cache is the folder of what was compiled; if it is empty, banyan/cubins in the user's folder
	// of caches.
	Cache string
	// Ahead are folders that Write filled; if there are none, those of BANYAN_CUBINS.
	Ahead []string
}

// Supply gives out cubins. It may be used from any goroutine.
type Supply struct {
	search   gpu.Search
	cache    string
	ahead    []string
	compiler func() (*Compiler, error)
}

// NewSupply makes a Supply. Nothing is loaded or read yet.
func NewSupply(s gpu.Search, o Options) (*Supply, error) {
	if o.Cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find a folder for compiled kernels: %w", err)
		}
		o.Cache = filepath.Join(base, "banyan", "cubins")
	}
	if o.Ahead == nil {
		for _, dir := range filepath.SplitList(os.Getenv(EnvCubins)) {
			if dir != "" {
				o.Ahead = append(o.Ahead, dir)
			}
		}
	}
	return &Supply{search: s, cache: o.Cache, ahead: o.Ahead,
		compiler: sync.OnceValues(func() (*Compiler, error) { return Load(s) })}, nil
}

// Cubin is the cubin of a source for an arch.
func (s *Supply) Cubin(source Source, arch gpu.Arch) ([]byte, error) {
	for _, dir := range s.ahead {
		b, err := readFile(filepath.Join(dir, aheadName(source, arch)))
		switch {
		case err == nil:
			return b, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s, made ahead of time: %w; run make cubins again", source.Name, err)
		}
	}
	c, err := s.compiler()
	if err != nil {
		return nil, fmt.Errorf("no kernels of %s for %s: %w", source.Name, arch, err)
	}
	path := filepath.Join(s.cache, cacheName(source, arch, c.version))
	b, err := readFile(path)
	if err == nil {
		return b, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDamaged) {
		return nil, fmt.Errorf("read compiled kernels: %w", err)
	}
	if b, err = c.Compile(source, arch); err != nil {
		return nil, err
	}
	// A folder that cannot be written costs a second at every start, no more.
	if err := writeFile(path, b); err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("keep compiled kernels: %w", err)
	}
	return b, nil
}

// Write compiles a source for an arch into a folder of cubins made ahead of time.
func Write(dir string, c *Compiler, source Source, arch gpu.Arch) (path string, err error) {
	b, err := c.Compile(source, arch)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, aheadName(source, arch))
	return path, writeFile(path, b)
}
