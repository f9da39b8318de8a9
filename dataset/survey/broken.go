package survey

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/banyan-train/banyan/dataset/source"
)

// broken counts the records of a source that cannot be used, and keeps the first few of them by
// their place, whichever reader came upon them first.
type broken struct {
	files map[string]int // their order, by URI

	mu          sync.Mutex
	count, utf8 uint64
	first       []*source.RecordError
}

func (b *broken) add(bad *source.RecordError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if strings.HasPrefix(bad.What, "invalid UTF-8") {
		b.utf8++
	}
	b.first = append(b.first, bad)
	slices.SortFunc(b.first, func(x, y *source.RecordError) int {
		return cmp.Or(b.files[x.URI]-b.files[y.URI], cmp.Compare(x.Record, y.Record),
			strings.Compare(x.Place, y.Place))
	})
	b.first = b.first[:min(firstBad, len(b.first))]
}

func (b *broken) messages() []string {
	texts := []string{}
	for _, bad := range b.first {
		texts = append(texts, bad.Error())
	}
	return texts
}
