package checkpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/checkpoint/manifest"
)

func TestCursorsOutliveTheirCheckpoint(t *testing.T) {
	op, to := openers(t)
	ctx := context.Background()
	if step, cursors, err := CursorsBefore(ctx, op, to, "run", 100); err != nil || step != 0 ||
		cursors != nil {
		t.Fatalf("before any checkpoint: step %d, %s, %v", step, cursors, err)
	}
	keep := func(step uint64, text string) {
		t.Helper()
		m := &manifest.Manifest{Run: "run", Step: step, Shards: []manifest.Shard{
			{Cursor: json.RawMessage(fmt.Sprintf(`{"at":%q}`, text))}, {}}}
		if err := KeepCursors(ctx, op, to, m); err != nil {
			t.Fatal(err)
		}
	}
	keep(10, "ten")
	keep(20, "twenty")
	keep(20, "again")
	keep(100000000, "far")
	for step, want := range map[uint64]string{
		10: "0 []", 11: `10 [{"at":"ten"}]`, 20: `10 [{"at":"ten"}]`, 21: `20 [{"at":"again"}]`,
		100000001: `100000000 [{"at":"far"}]`,
	} {
		at, cursors, err := CursorsBefore(ctx, op, to, "run", step)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %s", at, cursors); got != want {
			t.Errorf("before step %d: %s, want %s", step, got, want)
		}
	}
	b, key, err := op.Open(to + "/run/cursors/step-00000010.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(ctx, key, strings.NewReader("nonsense"), 8, false); err != nil {
		t.Fatal(err)
	}
	_, _, err = CursorsBefore(ctx, op, to, "run", 15)
	if err == nil || !strings.Contains(err.Error(), "step-00000010.json") {
		t.Errorf("error %v, want the object's name", err)
	}
}
