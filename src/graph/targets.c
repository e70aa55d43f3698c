// Sets of targets: insertion sort for the few, radix sort for the many, a bitmap for the very many.
// See targets.h.
#include "graph/targets.h"

#include <stdlib.h>
#include <string.h>

#include "heapwhy/vector.h"

enum { INSERTION_MAX = 48, RADIX_BITS = 11, RADIX_PASSES = 3, LIST_MIN = 1 << 16 };

void target_set_init(struct target_set *set, uint64_t node_count)
{
	*set = (struct target_set){.node_count = node_count, .limit = node_count / 32};
	if (set->limit < LIST_MIN)
		set->limit = LIST_MIN;
}

void target_set_deinit(struct target_set *set)
{
	free(set->items);
	free(set->scratch);
	free(set->bitmap);
}

static void sort_few(node_id *items, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		node_id item = items[i];
		size_t place = i;

		for (; place && items[place - 1] > item; place--)
			items[place] = items[place - 1];
		items[place] = item;
	}
}

static bool is_sorted(const node_id *items, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (items[i - 1] > items[i])
			return false;
	return true;
}

// Least significant digit first; three passes of 11 bits cover 32.
static bool sort_many(struct target_set *set)
{
	enum { BUCKETS = 1 << RADIX_BITS };
	size_t starts[BUCKETS];

	if (set->scratch_capacity < set->count) {
		free(set->scratch);
		set->scratch = malloc(set->capacity * sizeof(*set->scratch));
		set->scratch_capacity = set->scratch ? set->capacity : 0;
		if (!set->scratch)
			return false;
	}
	for (unsigned pass = 0; pass < RADIX_PASSES; pass++) {
		unsigned shift = pass * RADIX_BITS;
		size_t sum = 0;

		memset(starts, 0, sizeof(starts));
		for (size_t i = 0; i < set->count; i++)
			starts[set->items[i] >> shift & (BUCKETS - 1)]++;
		for (size_t b = 0; b < BUCKETS; b++) {
			size_t count = starts[b];
			starts[b] = sum;
			sum += count;
		}
		for (size_t i = 0; i < set->count; i++)
			set->scratch[starts[set->items[i] >> shift & (BUCKETS - 1)]++] =
				set->items[i];
		node_id *sorted = set->scratch;
		set->scratch = set->items;
		set->items = sorted;
		size_t capacity = set->scratch_capacity;
		set->scratch_capacity = set->capacity;
		set->capacity = capacity;
	}
	return true;
}

static void list_sort(struct target_set *set)
{
	size_t kept = 0;

	if (set->count <= INSERTION_MAX)
		sort_few(set->items, set->count);
	else if (!is_sorted(set->items, set->count) && !sort_many(set)) {
		set->failed = true;
		return;
	}
	for (size_t i = 0; i < set->count; i++)
		if (!kept || set->items[i] != set->items[kept - 1])
			set->items[kept++] = set->items[i];
	set->count = kept;
}

static void list_to_bitmap(struct target_set *set)
{
	if (!set->bitmap) {
		set->bitmap = calloc(set->node_count / 64 + 1, sizeof(*set->bitmap));
		if (!set->bitmap) {
			set->failed = true;
			return;
		}
	}
	for (size_t i = 0; i < set->count; i++)
		set->bitmap[set->items[i] >> 6] |= UINT64_C(1) << (set->items[i] & 63);
	set->dense = true;
}

void target_set_grow(struct target_set *set)
{
	if (set->dense || set->failed)
		return;
	if (set->count >= set->limit) {
		// Most of a long list may be duplicates (an array of pointers to a few objects).
		list_sort(set);
		if (set->failed || set->count <= set->limit / 2)
			return;
		list_to_bitmap(set);
		return;
	}
	if (!hw_vector_reserve(set, 1))
		set->failed = true;
}

void target_set_finish(struct target_set *set, node_id self)
{
	if (set->dense) {
		set->bitmap[self >> 6] &= ~(UINT64_C(1) << (self & 63));
		set->count = 0;
		for (size_t word = 0; word <= (set->node_count - 1) >> 6; word++)
			set->count += (size_t)__builtin_popcountll(set->bitmap[word]);
		return;
	}
	list_sort(set);
	for (size_t i = 0; i < set->count; i++) {
		if (set->items[i] == self) {
			memmove(set->items + i, set->items + i + 1,
				(set->count - i - 1) * sizeof(*set->items));
			set->count--;
			break;
		}
	}
}

void target_set_clear(struct target_set *set)
{
	if (set->dense)
		memset(set->bitmap, 0, (set->node_count / 64 + 1) * sizeof(*set->bitmap));
	set->dense = false;
	set->count = 0;
}
