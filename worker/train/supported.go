package train

import (
	"errors"
	"fmt"
	"strings"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

// ErrUnsupported marks a run that no generation of this engine can train.
var ErrUnsupported = errors.New("not supported by this version's engine")

// supported refuses what a spec may ask for and this engine does not do yet: nothing is done in
// another way in silence (P7).
func supported(s *pb.RunSpec) error {
	t := s.GetTrain()
	refuse := func(field string, v fmt.Stringer, instead string) error {
		return fmt.Errorf("train.%s: %s: %w; write %s", field, strings.ToLower(v.String()),
			ErrUnsupported, instead)
	}
	switch {
	case t.GetPrecision() == pb.Precision_BF16:
		return refuse("precision", t.GetPrecision(), "fp32")
	}
	return nil
}
