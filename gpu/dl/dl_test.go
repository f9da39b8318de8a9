package dl_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/banyan-train/banyan/gpu/dl"
)

func TestAbsenceIsAnError(t *testing.T) {
	text := filepath.Join(t.TempDir(), "libtext.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"libnobody-has-this.so.9": "libnobody-has-this.so.9: cannot open",
		"/no/such/folder/lib.so":  "/no/such/folder/lib.so",
		text:                      text,
		"":                        "not a name of a file",
		"a\x00b":                  "not a name of a file",
	} {
		if lib, err := dl.Open(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, error %v, want one with %q", name, lib, err, want)
		}
	}
}

// TestFill takes the C library, which is there wherever cgo is.
func TestFill(t *testing.T) {
	lib, err := dl.Open("libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(lib.Path()) {
		t.Errorf("the loader's path is %q", lib.Path())
	}
	table := [4]unsafe.Pointer{1: lib.Symbol("free"), 3: lib.Symbol("free")}
	missing := lib.Fill(unsafe.Pointer(&table), []dl.Entry{
		{Name: "malloc"}, {Name: "no_such_function", Since: 7},
		{Name: "free", Optional: true}, {Name: "nor_this", Optional: true}})
	if len(missing) != 1 || missing[0].Name != "no_such_function" || missing[0].Since != 7 {
		t.Errorf("missing %v", missing)
	}
	if table[0] == nil || table[1] != nil || table[2] != lib.Symbol("free") || table[3] != nil {
		t.Errorf("table %v", table)
	}
}
