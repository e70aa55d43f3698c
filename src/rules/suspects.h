// Objects that a rule suspects, gathered into findings: what one cause did a thousand times is one finding.
//
// Two suspects have the same cause when they are of the same kind (the rule says what that means: the type of the
// object, the field that refers to it) and the same holder keeps both. Those that several holders share go to the one
// who keeps most of their kind alone.
//
//	struct suspects suspects = {0};
//	suspects_add(&suspects, (struct suspect){.object = id, .kind = label, .bytes = size});
//	struct error *err = suspects_group(&suspects, run);
//	for (size_t i = 0; !err && i < suspects.groups.count; i++)
//		...                             // suspects.list.items[group->first .. + group->count - 1]
//	suspects_deinit(&suspects);
#ifndef RULES_SUSPECTS_H
#define RULES_SUSPECTS_H

#include "rules/rule.h"

struct suspect {
	node_id object;
	uint64_t kind;
	uint64_t bytes; // that the remedy gives back
	node_id keeper; // set by suspects_group
};

struct suspect_group {
	size_t first, count; // in the list
	uint64_t bytes;
	uint64_t most; // bytes of one
	// The largest, of those whose allocation the heap profile sampled when there are any: it stands for all.
	const struct suspect *example;
};

struct suspects {
	HW_VECTOR(struct suspect) list;
	HW_VECTOR(struct suspect_group) groups;
	bool no_memory;
};

void suspects_add(struct suspects *suspects, struct suspect suspect);
void suspects_deinit(struct suspects *suspects);

// Sorts the list and fills in the groups. Groups smaller than the rule's least are left out.
struct error *suspects_group(struct suspects *suspects, struct rule_run *run);

#endif
