// The distinct targets of one node's pointers.
//
// A list that is sorted once at the end, which suits nearly every object. An array of hundreds of
// millions of pointers would need gigabytes: when a list gets longer than a bitmap over all nodes
// would be, it becomes one.
//
//	target_set_add(&set, id);               // any number of times, any order
//	target_set_finish(&set, self);          // sorted, distinct, without `self`
//	... set.count, target_set_each() ...
//	target_set_clear(&set);
#ifndef GRAPH_TARGETS_H
#define GRAPH_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t node_id;

struct target_set {
	node_id *items;
	node_id *scratch; // for sorting long lists
	size_t count;     // members; in a bitmap: only once finished
	size_t capacity, scratch_capacity;
	size_t limit;     // a list that is longer becomes a bitmap
	uint64_t *bitmap; // allocated when first needed
	uint64_t node_count;
	bool dense;  // the members are in the bitmap
	bool failed; // out of memory: members were lost
};

void target_set_init(struct target_set *set, uint64_t node_count);
void target_set_deinit(struct target_set *set);

void target_set_grow(struct target_set *set); // makes room for one more

static inline void target_set_add(struct target_set *set, node_id id)
{
	if (__builtin_expect(set->count == set->capacity || set->dense, 0)) {
		target_set_grow(set);
		if (set->dense) {
			set->bitmap[id >> 6] |= UINT64_C(1) << (id & 63);
			return;
		}
		if (set->failed)
			return;
	}
	set->items[set->count++] = id;
}

// Sorts and drops duplicates and `self`.
void target_set_finish(struct target_set *set, node_id self);

// The smallest member >= `from` (only of a finished set): for a list `*index` says where to look,
// starting at 0.
static inline bool target_set_next(const struct target_set *set, size_t *index, node_id *out)
{
	if (!set->dense) {
		if (*index == set->count)
			return false;
		*out = set->items[(*index)++];
		return true;
	}
	for (size_t word = *index >> 6; word <= (set->node_count - 1) >> 6; word++) {
		uint64_t bits = set->bitmap[word];

		if (word == *index >> 6)
			bits &= ~UINT64_C(0) << (*index & 63);
		if (bits) {
			*out = (node_id)(word * 64 + (size_t)__builtin_ctzll(bits));
			*index = (size_t)*out + 1;
			return true;
		}
	}
	return false;
}

void target_set_clear(struct target_set *set);

#endif
