// Objects of which nobody sees the most part (ledger/windows.h): which rule speaks of them, and what copying the rest
// would give back.
#ifndef RULES_WASTE_H
#define RULES_WASTE_H

#include "rules/suspects.h"

// One rule for each.
enum waste_kind {
	WASTE_PINNED,   // slices, strings or pointers show a part and keep the whole
	WASTE_SPARE,    // beyond the lengths of slices, within their capacities
	WASTE_CAPTURED, // only closures see anything, and only a part
	WASTE_POOLED,   // buffers in a sync.Pool: pool-bloat has measures of its own
	WASTE_KINDS
};

// The objects that are wasted that way, grouped: what is seen of them is little, and copying that would give most of
// their bytes back, together with what hangs only below their unseen parts. Each kind is handed out once. `out` is to
// be deinitialised by the caller, also after an error.
struct error *waste_find(struct rule_run *run, enum waste_kind kind, struct suspects *out);

// The same, each group reported. For rules that have no more to say.
typedef struct error *waste_report(
	struct rule_run *run, const struct suspects *suspects, const struct suspect_group *group);
struct error *waste_each(struct rule_run *run, enum waste_kind kind, waste_report *report);

void waste_destroy(struct waste *waste); // accepts NULL

// What a group of such suspects is, for the finding's sentence.
struct waste_group {
	bool by_pointers; // pointers to elements, and no slices or strings
	uint64_t objects;
	uint64_t bytes;   // of their slots
	uint64_t seen;    // of these, by somebody
	char place[256];  // how one of them is referred to: "main.entry.body"; "" when unknown
	const char *name; // what they are: "[]uint8"
};
void waste_describe(struct rule_run *run, const struct suspects *suspects,
	const struct suspect_group *group, struct waste_group *out);

#endif
