package hf

import (
	"encoding/json"
	"slices"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
	"google.golang.org/protobuf/proto"
)

// defaultTheta is the base of the rotary embedding where none is given, in every family.
const defaultTheta = 10000

// rope reads the rotary embedding in all its forms. Transformers 4 writes rope_theta and
// rope_scaling, whose kind is called type before 4.43 and rope_type after; version 5 writes
// rope_parameters, with the base inside. Forms that are given together must agree.
func (r *configReader) rope() (theta float64, scaling *pb.RopeScaling) {
	theta = defaultTheta
	outer := r.value("rope_theta", &theta)
	r.factorOne()
	var found []string
	for _, key := range []string{"rope_scaling", "rope_parameters"} {
		var raw json.RawMessage
		if !r.value(key, &raw) {
			continue
		}
		inner, err := newConfigReader(raw)
		if err != nil {
			r.fail(key, "is not an object: %w", err)
			continue
		}
		if len(inner.keys) == 0 {
			continue // as good as null
		}
		base, s := inner.ropeObject(theta, outer)
		if err := inner.finish(nil); err != nil {
			r.fail(key, "has: %w", err)
		} else if len(found) > 0 && (base != theta || !proto.Equal(s, scaling)) {
			r.fail(key, "is not what %s says; remove one", found[0])
		}
		theta, scaling, outer, found = base, s, true, append(found, key)
	}
	return theta, scaling
}

// ropeObject reads the members of rope_scaling or rope_parameters. outer says that theta was given
// outside, where it must not differ.
func (r *configReader) ropeObject(theta float64, outer bool) (float64, *pb.RopeScaling) {
	base := theta
	if r.value("rope_theta", &base) && outer && base != theta {
		r.fail("rope_theta", "is %v, but the outer rope_theta is %v; remove one", base, theta)
	}
	r.factorOne()
	kind, older := "", ""
	hasKind, hasOlder := r.value("rope_type", &kind), r.value("type", &older)
	switch {
	case !hasKind && hasOlder:
		kind = older
	case !hasKind:
		kind = "default"
	case hasOlder && kind != older:
		r.fail("type", "is %.100q, but rope_type is %.100q; remove one", older, kind)
	}
	switch kind {
	case "default":
		return base, nil
	case "linear":
		return base, &pb.RopeScaling{Kind: kind, Factor: r.atLeastOne("factor")}
	case "llama3":
		s := &pb.RopeScaling{Kind: kind, Factor: r.atLeastOne("factor"),
			LowFreqFactor: r.positive("low_freq_factor"), HighFreqFactor: r.positive("high_freq_factor"),
			OriginalMaxPositions: r.size("original_max_position_embeddings", 0)}
		if s.HighFreqFactor <= s.LowFreqFactor && s.HighFreqFactor > 0 {
			r.fail("high_freq_factor", "is %v; want more than low_freq_factor, %v", s.HighFreqFactor,
				s.LowFreqFactor)
		}
		return base, s
	}
	r.fail("rope_type", "is %.100q, which this version cannot compute; it supports \"default\", "+
		"\"linear\" and \"llama3\". If it only stretches the context beyond what you train with, "+
		"remove it", kind)
	r.drop() // its other members mean nothing here
	return base, nil
}

// factorOne takes partial_rotary_factor, which must be 1.
func (r *configReader) factorOne() {
	raw, ok := r.take("partial_rotary_factor")
	if ok && !slices.Contains([]string{"1.0", "1", "null"}, string(raw)) {
		r.fail("partial_rotary_factor", "is %.200s, which this version cannot compute; it supports "+
			"only 1.0", raw)
	}
}

func (r *configReader) atLeastOne(key string) float64 {
	x := r.positive(key)
	if x > 0 && x < 1 {
		r.fail(key, "is %v; want at least 1", x)
	}
	return x
}

// positive is a number over 0 that must be there.
func (r *configReader) positive(key string) float64 {
	x, bad := 0.0, len(r.errs)
	if there := r.value(key, &x); x <= 0 && len(r.errs) == bad {
		if !there {
			r.fail(key, "is missing; want a positive number")
		} else {
			r.fail(key, "is %v; want a positive number", x)
		}
	}
	return x
}
