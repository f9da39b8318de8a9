package demo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// sums are the logical digests of both final checkpoints.
type sums struct{ disturbed, control string }

var isDigest = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

// compare checks both runs, their recorded curves and their weights (part 5).
func (d *demo) compare(ctx context.Context, disturbed, control *trained) (sums, error) {
	if err := d.checkKills(disturbed); err != nil {
		return sums{}, fmt.Errorf("disturbed run: %w", err)
	}
	if err := checkDisturbed(disturbed.facts(), workers); err != nil {
		return sums{}, fmt.Errorf("disturbed run: %w", err)
	}
	if err := checkControl(control.facts()); err != nil {
		return sums{}, fmt.Errorf("control run: %w", err)
	}
	if err := d.compareCurves(disturbed, control); err != nil {
		return sums{}, err
	}
	var s sums
	var err error
	if s.disturbed, err = d.digest(ctx, disturbed); err != nil {
		return sums{}, err
	}
	if s.control, err = d.digest(ctx, control); err != nil {
		return sums{}, err
	}
	if s.disturbed != s.control {
		return sums{}, fmt.Errorf("final checkpoints differ: disturbed %s, control %s", s.disturbed,
			s.control)
	}
	return s, nil
}

func (d *demo) compareCurves(disturbed, control *trained) error {
	a, err := readCurveFile(d.records("disturbed"))
	if err != nil {
		return err
	}
	b, err := readCurveFile(d.records("control"))
	if err != nil {
		return err
	}
	if total := control.run.GetResolved().GetTotalSteps(); uint64(len(b)) != total {
		return fmt.Errorf("%s has %d steps, the run has %d", d.records("control"), len(b), total)
	}
	if diff := difference(a, b); diff != "" {
		return fmt.Errorf("curves differ: %s", diff)
	}
	d.say("%s and %s: %d steps, equal in every field but %s and %s", d.records("disturbed"),
		d.records("control"), len(a), varying[0], varying[1])
	return nil
}

// checkKills is nil when the leader's death left the ranks alone and both kills came in mid-run.
func (d *demo) checkKills(t *trained) error {
	if len(t.kills) != 2 {
		return fmt.Errorf("%d kills, want 2", len(t.kills))
	}
	if g := t.kills[0].next.GetGeneration(); g != 1 {
		return fmt.Errorf("the step after the leader's death is of generation %d: its ranks were "+
			"restarted", g)
	}
	for _, k := range t.kills {
		if k.next.GetStep() <= k.after {
			return errors.New("no new step after the kill of the " + k.what)
		}
	}
	return nil
}

// digest asks for the digest of a run's final checkpoint.
func (d *demo) digest(ctx context.Context, t *trained) (string, error) {
	name := fmt.Sprintf("%s@%d", t.run.GetId(), t.run.GetResolved().GetTotalSteps())
	sum, err := d.banyan(ctx, "checkpoint", "digest", name)
	if err != nil {
		return "", err
	}
	if !isDigest.MatchString(sum) {
		return "", fmt.Errorf("digest of %s: %q is none", name, sum)
	}
	return sum, nil
}
