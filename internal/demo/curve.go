package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

// curve is the step records of one run as `watch --json` prints them, step 1 first. Numbers stay
// the text they were: shortest round-trip form, so that equal text is equal bits.
type curve []map[string]any

// required are the fields that every record must have; without them equal would mean little.
var required = []string{"step", "generation", "loss", "loss_by_lang", "grad_norm", "lr", "tokens",
	"data_digest", "timings"}

// varying are the fields that say how a step was computed, not what came out.
var varying = []string{"generation", "timings"}

const maxRecord = 1 << 20 // bytes of one line

func readCurveFile(path string) (curve, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	defer f.Close()
	c, err := readCurve(f)
	if err != nil {
		return nil, fmt.Errorf("read records: %s: %w", path, err)
	}
	return c, nil
}

// readCurve reads records and refuses a step that is missing, repeated or out of order (I11).
func readCurve(r io.Reader) (curve, error) {
	var c curve
	lines := bufio.NewReaderSize(r, maxRecord)
	for {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return c, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: incomplete or too long: %w", len(c)+1, err)
		}
		record, err := parseRecord(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(c)+1, err)
		}
		if got, want := fmt.Sprint(record["step"]), fmt.Sprint(len(c)+1); got != want {
			return nil, fmt.Errorf("line %d: step %s, want step %s", len(c)+1, got, want)
		}
		c = append(c, record)
	}
}

func parseRecord(line []byte) (map[string]any, error) {
	var record map[string]any
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if err := dec.Decode(&record); err != nil {
		return nil, err
	}
	for _, field := range required {
		if v, ok := record[field]; !ok || v == nil {
			return nil, fmt.Errorf("no field %q", field)
		}
	}
	return record, nil
}

// difference is the first thing in which two curves differ, in the order of steps and then of
// field names; "" when they are equal in every field but the varying ones.
func difference(disturbed, control curve) string {
	for i := range min(len(disturbed), len(control)) {
		for _, name := range fields(disturbed[i], control[i]) {
			if slices.Contains(varying, name) {
				continue
			}
			if d := differ(name, disturbed[i][name], control[i][name]); d != "" {
				return fmt.Sprintf("step %d: %s", i+1, d)
			}
		}
	}
	if len(disturbed) != len(control) {
		return fmt.Sprintf("disturbed has %d steps, control has %d", len(disturbed), len(control))
	}
	return ""
}

// differ compares two values; objects field by field.
func differ(name string, disturbed, control any) string {
	a, isA := disturbed.(map[string]any)
	b, isB := control.(map[string]any)
	if isA && isB {
		for _, field := range fields(a, b) {
			if d := differ(name+"."+field, a[field], b[field]); d != "" {
				return d
			}
		}
		return ""
	}
	x, y := text(disturbed), text(control)
	if x == y {
		return ""
	}
	return fmt.Sprintf("%s: disturbed %s, control %s", name, x, y)
}

// text is a value as JSON; "nothing" for a field that is not there.
func text(v any) string {
	if v == nil {
		return "nothing"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%v", v)
	}
	return string(b)
}

// fields are the names in either object, sorted.
func fields(a, b map[string]any) []string {
	var names []string
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
