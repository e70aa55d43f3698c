// The two rules that need several looks at one process: `unbounded-growth` and `type-pileup` (docs/rules.md).
//
// A suspect is whatever stayed and grew. Growth is followed down the tree of dominators as long as one branch, or a few of
// different types, make up nearly all of it; where it spreads is the container. Objects that no single one keeps are
// looked at by type: mostly referred to by one container, they are that container's; by many, they pile up.
//
//	struct looks looks = {snapshots, clocks, count};          // loaded, of one run, oldest first
//	struct growth growth;
//	struct error *err = growth_find(&looks, &arena, &growth);
//	use(growth.findings.items[0]);                            // strings are in `arena`
//	growth_deinit(&growth);
#ifndef DIFF_GROWTH_H
#define DIFF_GROWTH_H

#include "diff/lineage.h"
#include "heapwhy/vector.h"

struct looks {
	struct snapshot *const *snapshots;
	const uint64_t *clocks; // ns; 0: unknown
	uint32_t count;         // 2 or more
};

struct growth {
	HW_VECTOR(struct report_finding) findings; // by bytes, largest first
	uint64_t bytes;                            // of all of them
};

struct error *growth_find(const struct looks *looks, struct hw_arena *arena, struct growth *out);
void growth_deinit(struct growth *growth);

#endif
