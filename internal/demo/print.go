package demo

import (
	"fmt"
	"os"
	"time"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

const parts = 6

func (d *demo) part(n int, what string) {
	d.say("\n[%d/%d] %s  (%v)", n, parts, what, short(time.Since(d.started)))
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.cfg.Out, format+"\n", args...)
}

// note prints a line while a command has the terminal. That command's live line goes: it draws a
// new one at its next step.
func (d *demo) note(format string, args ...any) {
	clear := ""
	if isTerminal(d.cfg.Out) {
		clear = "\r\x1b[2K"
	}
	fmt.Fprintf(d.cfg.Out, clear+format+"\n", args...)
}

// summary is the last word: what was survived, how fast, and what came out.
func (d *demo) summary(t *trained, s sums) {
	d.say("")
	for _, k := range t.kills {
		d.say("demo: %s killed after step %d: step %d computed %v later, seen %v later", k.what,
			k.after, k.next.GetStep(), short(k.computed()), short(k.seen()))
		if k.died > 0 {
			d.say("demo:   its rank was dead %v after it", short(k.died))
		}
	}
	line := fmt.Sprintf("demo: generation 2 of %d ranks went on from the checkpoint of step %d",
		t.kills[1].next.GetTimings().GetWorld(), t.run.GetResumeStep())
	if e := t.history.event(pb.EventKind_REWIND, 0); e != nil {
		line += ": " + e.GetText()
	}
	d.say("%s", line)
	first, last := t.history.steps[0], t.history.steps[len(t.history.steps)-1]
	d.say("demo: loss %.4f -> %.4f%s", first.GetLoss(), last.GetLoss(), byLang(first, last))
	d.say("demo: digest disturbed %s", s.disturbed)
	d.say("demo: digest control   %s", s.control)
	d.say("demo: exported to %s", d.path("export"))
	d.say("demo: took %v", short(time.Since(d.started)))
}

func byLang(first, last seenStep) string {
	was := map[string]float64{}
	for _, g := range first.GetLossByLang() {
		was[g.GetName()] = g.GetLoss()
	}
	line := ""
	for _, g := range last.GetLossByLang() {
		line += fmt.Sprintf("  %s %.4f -> %.4f", g.GetName(), was[g.GetName()], g.GetLoss())
	}
	return line
}

// short is a duration for people.
func short(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
