package consensus

import "context"

// Leadership is one change of this member's leadership.
type Leadership struct {
	Leader bool
	Epoch  uint64 // the Raft term: rises with every leader, never repeats
}

// LeaderCh delivers the newest change of this member's leadership: a slow reader misses changes
// that were overtaken, never the last one. Leader turns true only when every entry of earlier
// leaders has been applied here. Two messages with Leader true and different epochs mean that
// leadership was lost in between. The channel is closed by Close. One reader.
func (c *Consensus) LeaderCh() <-chan Leadership { return c.leaderCh }

// IsLeader returns the epoch that this member leads, as last announced on LeaderCh.
func (c *Consensus) IsLeader() (epoch uint64, ok bool) {
	l := c.announced.Load()
	return l.Epoch, l.Leader
}

// watchLeadership turns raft's notices into announcements. raft's own channel holds one notice and
// replaces it, so nothing here can block raft.
func (c *Consensus) watchLeadership() {
	defer c.watching.Done()
	defer close(c.leaderCh)
	defer c.announce(false, 0)
	for {
		select {
		case leader := <-c.raft.LeaderCh():
			if !leader {
				c.announce(false, c.raft.CurrentTerm())
				continue
			}
			c.takeOffice()
		case <-c.fail.failed:
			return // raft's main loop may be held for good: it will report nothing more
		case <-c.closing:
			return
		}
	}
}

// takeOffice waits until everything committed before this leadership has been applied, then
// announces it. When leadership is lost meanwhile, a later notice is on its way and nothing is
// said.
func (c *Consensus) takeOffice() {
	epoch := c.raft.CurrentTerm()
	if l := c.announced.Load(); l.Leader && l.Epoch != epoch {
		c.announce(false, epoch) // raft's notices were merged
	}
	barrier := func() error { return c.raft.Barrier(0).Error() }
	if err := c.await(context.Background(), barrier); err != nil {
		c.log.Info().Err(err).Uint64("epoch", epoch).Msg("leadership lost before the barrier")
		return
	}
	if c.raft.CurrentTerm() == epoch && c.leading() {
		c.announce(true, epoch)
	}
}

func (c *Consensus) announce(leader bool, epoch uint64) {
	l := Leadership{Leader: leader, Epoch: epoch}
	if old := c.announced.Swap(&l); old.Leader == leader && (!leader || old.Epoch == epoch) {
		return
	}
	c.log.Info().Bool("leader", leader).Uint64("epoch", epoch).Msg("leadership")
	select {
	case <-c.leaderCh: // overtaken
	default:
	}
	c.leaderCh <- l // one writer, and the place is free
}
