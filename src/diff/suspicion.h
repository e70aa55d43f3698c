// Inside growth: who is suspected, and what speaks for it.
#ifndef DIFF_SUSPICION_H
#define DIFF_SUSPICION_H

#include "diff/growth.h"

enum {
	GROWTH_BYTES_MIN = 256 << 10, // what has not grown by so much is not looked at
	ADDED_MIN = 4,                // objects or entries
};

struct suspicion {
	uint32_t container; // node of the last snapshot; NODE_UNKNOWN: a type piles up
	uint32_t
		label; // of what was added, in the last snapshot; NODE_UNKNOWN: nothing but the container's own
	uint32_t example;      // one of those that were added; NODE_UNKNOWN: none
	bool shared;           // what was added is referred to by others, too
	uint64_t bytes;        // by which it grew
	int64_t added;         // objects, less those that are gone
	uint32_t gone, before; // of so many that had been there
};

struct suspicions {
	const struct looks *looks;
	struct lineage *lineage;
	uint32_t *
		owner; // of each node: the nearest one at or above it that stayed; the root when there is none
	HW_VECTOR(struct suspicion) list;
};

// Containers that dominate what was added.
struct error *suspicions_dominating(struct suspicions *suspicions);

// Types whose objects no single one keeps.
struct error *suspicions_shared(struct suspicions *suspicions);

// Objects of that type in a snapshot.
uint64_t snapshot_count_type(const struct snapshot *snapshot, const char *type);

#endif
