package fake

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Options say what the libraries lack.
type Options struct {
	// Faults are lines of the file that src/faults.c describes.
	Faults string
	// Without are functions that the libraries do not have.
	Without []string
}

// Build makes libcuda.so.1 and libnvrtc.so.12 in a folder of the test's.
func Build(t testing.TB, o Options) string {
	t.Helper()
	dir := t.TempDir()
	built, err := compiled(strings.Join(o.Without, " "))
	if err == nil {
		for name, b := range built {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o755)
			if err != nil {
				break
			}
		}
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "faults"), []byte(o.Faults), 0o644)
	}
	if err != nil {
		t.Fatalf("build fake GPU libraries: %v", err)
	}
	return dir
}

var (
	mutex sync.Mutex
	cache = map[string]map[string][]byte{} // files by what they lack: compiling takes a second
)

func compiled(without string) (map[string][]byte, error) {
	mutex.Lock()
	defer mutex.Unlock()
	if files, ok := cache[without]; ok {
		return files, nil
	}
	dir, err := os.MkdirTemp("", "banyan-fake-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files, err := compile(dir, strings.Fields(without))
	if err == nil {
		cache[without] = files
	}
	return files, err
}

func compile(dir string, without []string) (map[string][]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	src := filepath.Join(root, "gpu", "fake", "src")
	emu, err := os.ReadFile(filepath.Join(src, "emu.h"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "emu_text.h"), asArray(emu), 0o644)
	}
	if err != nil {
		return nil, err
	}
	flags := []string{"-I" + dir, "-I" + filepath.Join(root, "gpu", "cuda"),
		"-I" + filepath.Join(root, "gpu", "nvrtc"), fmt.Sprintf("-DFAKE_CC=%q", Compiler()),
		fmt.Sprintf("-DFAKE_TMP=%q", os.TempDir())}
	for _, name := range without {
		flags = append(flags, fmt.Sprintf("-D%s=without_%s", name, name))
	}
	out := map[string][]byte{}
	for lib, sources := range map[string][]string{
		"libcuda.so.1":   {"faults.c", "device.c", "memory.c", "stream.c", "module.c"},
		"libnvrtc.so.12": {"nvrtc.c"},
	} {
		for i, s := range sources {
			sources[i] = filepath.Join(src, s)
		}
		path := filepath.Join(dir, lib)
		if err := Library(path, sources, flags...); err != nil {
			return nil, err
		}
		if out[lib], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Library compiles sources in C to a shared library that is called by the name of its file.
func Library(path string, sources []string, flags ...string) error {
	if err := depend(sources, flags); err != nil {
		return err
	}
	cc := strings.Fields(Compiler())
	args := append(cc[1:], "-std=gnu11", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-pthread",
		"-fvisibility=hidden", "-Wl,-soname,"+filepath.Base(path))
	args = append(append(append(args, flags...), sources...), "-o", path, "-ldl")
	cmd := exec.Command(cc[0], args...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, text)
	}
	return nil
}

// depend reads what the compiler will read: the go command then runs a test again when it changed.
func depend(sources, flags []string) error {
	var headers []string
	for _, f := range append([]string{"-I."}, flags...) {
		if dir, ok := strings.CutPrefix(f, "-I"); ok {
			found, _ := filepath.Glob(filepath.Join(dir, "*.h")) // the pattern is well formed
			headers = append(headers, found...)
		}
	}
	for _, s := range sources {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(s), "*.h"))
		headers = append(headers, found...)
	}
	for _, p := range append(headers, sources...) {
		if _, err := os.ReadFile(p); err != nil {
			return err
		}
	}
	return nil
}

// Compiler is the C compiler that cgo uses too, with its flags.
func Compiler() string {
	if cc := strings.TrimSpace(os.Getenv("CC")); cc != "" {
		return cc
	}
	return "cc"
}

// asArray writes text as the elements of a C array.
func asArray(text []byte) []byte {
	var b strings.Builder
	for _, c := range text {
		fmt.Fprintf(&b, "%d,\n", c)
	}
	return []byte(b.String())
}

// Root is the folder of the module, in which a test runs.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no go.mod above the working folder")
		}
		dir = parent
	}
	return "", err
}
