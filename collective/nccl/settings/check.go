package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of the settings of a run: their number, and the bytes of a name and of a value.
const (
	Most      = 64
	MostName  = 64
	MostValue = 1024
)

// Error is a setting that a run may not have.
type Error struct {
	// Name is the variable, as it was given; what is too long is cut.
	Name string
	// Why says what is wrong, Fix what to write instead.
	Why, Fix string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s; %s", e.Name, e.Why, e.Fix) }

// Check reports what is wrong with one setting of a run.
func Check(name, value string) *Error {
	fail := func(fix, why string, args ...any) *Error {
		return &Error{Name: name[:min(len(name), MostName)], Why: fmt.Sprintf(why, args...), Fix: fix}
	}
	switch plain := strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""; {
	case len(name) > MostName:
		return fail("write a name of NCCL's documentation", "the name has %d bytes, at most %d are "+
			"supported", len(name), MostName)
	case !plain || !strings.HasPrefix(name, "NCCL_") || name == "NCCL_":
		return fail("write a name such as NCCL_SOCKET_IFNAME", "is no variable of NCCL")
	}
	r, found := refusal(name)
	switch {
	case found:
		return fail(r.Fix, "is not to be set: %s", r.Why)
	case value == "":
		return fail("write a value, or remove it", "is empty")
	case len(value) > MostValue:
		return fail("write less", "the value has %d bytes, at most %d are supported", len(value),
			MostValue)
	case strings.IndexFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) >= 0:
		return fail("write it in ASCII, on one line", "the value has characters that are not to be "+
			"printed in ASCII")
	case name == "NCCL_PROTO" && forcesLL128(value):
		return fail("write LL, Simple or LL,Simple, or ^LL128", "must leave LL128 out: it corrupts "+
			"data where the hardware cannot do it, and NCCL takes it by itself where it can")
	}
	return nil
}

// CheckAll reports the first thing that is wrong with the settings of a run, by name.
func CheckAll(set map[string]string) error {
	if len(set) > Most {
		return fmt.Errorf("%d settings of NCCL, at most %d are supported", len(set), Most)
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if err := Check(name, set[name]); err != nil {
			return err
		}
	}
	return nil
}

// CheckEnvironment reports a variable of the environment that breaks what Banyan relies on. lookup
// is os.LookupEnv.
func CheckEnvironment(lookup func(name string) (value string, set bool)) error {
	for _, r := range refused {
		if _, set := lookup(r.Name); set && r.Nowhere {
			return &Error{Name: r.Name, Why: "stands in the environment, and " + r.Why,
				Fix: "unset it where the worker is started"}
		}
	}
	return nil
}
