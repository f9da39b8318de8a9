package hf

// windowRule is how a family's class reads sliding_window.
type windowRule int

const (
	windowNone   windowRule = iota // it knows no windows
	windowAlways                   // sliding_window alone decides; null is none
	windowGated                    // only with use_sliding_window, from layer max_window_layers on
)

// The defaults of transformers for keys that are absent.
const (
	defaultWindow       = 4096
	defaultWindowLayers = 28
)

// The values of layer_types.
const (
	fullLayer    = "full_attention"
	slidingLayer = "sliding_attention"
)

// window is how many keys a query sees, itself included; 0 is all before it. Layers that differ
// from one another are refused: the model has one window for all.
func (r *configReader) window(rule windowRule, layers uint32) uint32 {
	given := r.has("sliding_window")
	size := uint32(0)
	if string(r.raw["sliding_window"]) != "null" {
		size = r.size("sliding_window", defaultWindow)
	}
	r.take("sliding_window")
	var gate bool
	gated := r.value("use_sliding_window", &gate)
	from := uint32(defaultWindowLayers)
	r.value("max_window_layers", &from)
	switch rule {
	case windowNone:
		if gate || given && size > 0 && !gated {
			r.fail("sliding_window", "is %d, but this model_type has no window in transformers; "+
				"remove it, or set model_type to mistral if the model was trained with it", size)
		}
		size, from = 0, layers
	case windowAlways:
		if gated && gate != (size > 0) {
			r.fail("use_sliding_window", "is %v, but sliding_window alone decides for this "+
				"model_type; remove it, and set sliding_window to null for no window", gate)
		}
		from = 0
	case windowGated:
		if !gate {
			size = 0
		}
	}
	if size == 0 {
		from = layers
	}
	return r.uniform(rule, size, from, layers)
}

// uniform is the window of all layers: size if all of them slide, 0 if none does. Layers slide
// from number from on, unless layer_types names the kind of each. Mistral's class ignores that
// key, so there it must say what sliding_window does.
func (r *configReader) uniform(rule windowRule, size, from, layers uint32) uint32 {
	sliding := layers - min(from, layers)
	key := "max_window_layers"
	var types []string
	if r.value("layer_types", &types) {
		key, sliding = "layer_types", 0
		for _, t := range types {
			switch t {
			case slidingLayer:
				sliding++
			case fullLayer:
			default:
				r.fail(key, "has %.100q; this version can compute %q and %q", t, fullLayer, slidingLayer)
				return 0
			}
		}
		if uint32(len(types)) != layers {
			r.fail(key, "has %d entries for %d layers; want one a layer", len(types), layers)
			return 0
		}
	}
	switch {
	case sliding == 0 && (size == 0 || rule == windowGated):
		return 0
	case sliding == layers && size > 0:
		return size
	}
	if layers == 0 {
		return 0 // reported already
	}
	r.fail(key, "makes %d of %d layers slide, with a window of %d; only one kind of attention in all "+
		"layers can be computed: set use_sliding_window to false (sliding_window to null for mistral) "+
		"and remove layer_types to train with full attention", sliding, layers, size)
	return 0
}
