package settings

import "strings"

// Refused is a setting that a run may not have.
type Refused struct {
	// Name is the variable; a * stands for any text.
	Name string
	// Why is the reason, Fix what to do instead.
	Why, Fix string
	// Nowhere: the environment of a worker must not have it either.
	Nowhere bool
}

const (
	remove = "remove it"
	byHost = "remove it here, and set it in the environment of the workers"
)

// refused is the list. By the documentation of NCCL 2.30 and its sources.
var refused = []Refused{
	{Name: "NCCL_COMM_BLOCKING", Nowhere: true, Fix: remove,
		Why: "a call of NCCL that blocks is beyond any deadline and abort"},
	{Name: "NCCL_COMM_ID", Nowhere: true, Fix: remove,
		Why: "every generation has an id of its own, which keeps the ranks of older ones out"},
	{Name: "NCCL_HOSTID", Fix: byHost,
		Why: "one value for all hosts would make NCCL take them for one"},
	{Name: "NCCL_MULTI_RANK_GPU_ENABLE", Fix: remove,
		Why: "a GPU serves one rank"},
	{Name: "NCCL_GDR_FLUSH_DISABLE", Fix: byHost,
		Why: "without the flush, data of the network may be read before they are there"},
	{Name: "NCCL_CONF_FILE", Fix: "write its settings here",
		Why: "a run's settings stand in its file, where they are recorded"},
	{Name: "NCCL_*_PLUGIN", Fix: byHost,
		Why: "it loads code into the ranks, which is for the owner of a host to say"},
	{Name: "NCCL_IBVERBS_LIB", Fix: byHost,
		Why: "it loads code into the ranks, which is for the owner of a host to say"},
	{Name: "NCCL_DEBUG_FILE", Fix: "remove it; what NCCL_DEBUG prints is in the logs of the ranks",
		Why: "it overwrites a file of the host"},
	{Name: "NCCL_*_DUMP_FILE", Fix: byHost,
		Why: "it overwrites a file of the host"},
	{Name: "NCCL_*_DUMP_SIGNAL", Fix: remove,
		Why: "it takes a signal from the process, which has its own use for signals"},
	{Name: "NCCL_RAS_ADDR", Fix: byHost,
		Why: "it opens a port of the host, without any authentication"},
	{Name: "NCCL_ASYNC_ERROR_HANDLING", Fix: remove,
		Why: "PyTorch reads it, NCCL does not; Banyan always looks for asynchronous errors"},
	{Name: "NCCL_BLOCKING_WAIT", Fix: remove,
		Why: "PyTorch reads it, NCCL does not; Banyan always waits with a deadline"},
}

// List is what a run may not set, in the order of the document.
func List() []Refused { return append([]Refused{}, refused...) }

// refusal finds the entry of a name.
func refusal(name string) (r Refused, found bool) {
	for _, r := range refused {
		before, after, any := strings.Cut(r.Name, "*")
		if !any && name == before {
			return r, true
		}
		if any && len(name) > len(before)+len(after) && strings.HasPrefix(name, before) &&
			strings.HasSuffix(name, after) {
			return r, true
		}
	}
	return Refused{}, false
}

// forcesLL128 tells whether a value of NCCL_PROTO is anything but a choice that leaves LL128 out.
// NCCL takes that protocol by itself where the hardware can do it, and where it cannot it corrupts
// data. A list that excludes only others forces it too; and lists of single functions are left to
// nobody, as NCCL before 2.24 reads them otherwise.
func forcesLL128(value string) bool {
	list, excludes := strings.CutPrefix(value, "^")
	named := false
	for protocol := range strings.SplitSeq(strings.ToUpper(list), ",") {
		switch protocol {
		case "LL128":
			named = true
		case "LL", "SIMPLE":
		default:
			return true
		}
	}
	return named != excludes
}
