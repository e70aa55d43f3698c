// A pooled list: a list of values that lie in chunks of about a kilobyte, which come from the list's own pool.
//
//	struct hw_pooled_list orders;
//	hw_pooled_list_init(&orders, sizeof(struct order), NULL);
//	struct order *order = hw_pooled_list_push_back(&orders);    // uninitialised; NULL when out of memory
//	...
//	struct order first;
//	if (hw_pooled_list_pop_front(&orders, &first))
//		...
//	hw_pooled_list_deinit(&orders);
//
// Values are pushed and popped at both ends and removed anywhere, each in O(1); they stay at their addresses, which are
// multiples of 8, until they are removed or hw_pooled_list_compact() moves them. In the steady state nothing is
// allocated, and a value takes its own bytes plus about 5 %. What a long list held goes back when it becomes short.
// Where values must be inserted in the middle, or be in several lists, use hw_list.
//
// Not thread-safe. Three ways to walk it:
//
//	hw_pooled_list_each (&orders, order)                        // nothing may change; fastest
//		...
//	struct hw_pooled_list_iterator it = hw_pooled_list_iterate(&orders);
//	while ((order = hw_pooled_list_next(&it)))                  // the current value may be removed, but only
//		if (order->done)                                    // through `it`: any other change ends the
//			hw_pooled_list_iterator_remove(&it);        // walk and sets it.failed
//	void **values = hw_pooled_list_snapshot(&orders, &count);   // those there are now; change what you like
#ifndef HEAPWHY_POOLED_LIST_H
#define HEAPWHY_POOLED_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/list.h"
#include "heapwhy/pool.h"
#include "heapwhy/value.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	HW_POOLED_LIST_CHUNK_SLOTS = 128, // at most
	HW_POOLED_LIST_VALUE_MAX = HW_POOL_NODE_MAX - 64,
};

// Lies at a multiple of its size. The values are at offsets [begin, end), less those whose bit says that they were
// removed; the first and the last of them are there. A chunk in a list is never empty.
struct hw_pooled_list_chunk {
	struct hw_link link;
	uint32_t begin, end; // bytes from the chunk's start
	uint64_t holes;      // bits set in `removed`
	uint64_t removed[HW_POOLED_LIST_CHUNK_SLOTS / 64];
};

struct hw_pooled_list {
	struct hw_registration registration;
	struct hw_list chunks;
	uint64_t count;
	uint64_t value_bytes; // rounded up to 8
	uint64_t changes;     // since init: values pushed and removed
	uint32_t chunk_bytes;
	uint32_t copy_bytes; // as init was told
	uint32_t slots_end;  // behind the last slot of a chunk
	struct hw_pool pool;
};

// `value_bytes` up to HW_POOLED_LIST_VALUE_MAX (with more, every push fails). Takes no memory yet.
void hw_pooled_list_init(
	struct hw_pooled_list *list, size_t value_bytes, struct hw_allocator *allocator);
void hw_pooled_list_deinit(struct hw_pooled_list *list);

// A list without values. O(chunks).
void hw_pooled_list_clear(struct hw_pooled_list *list);

// Moves the values together and returns the memory between them; pointers to values are no longer valid. O(n).
void hw_pooled_list_compact(struct hw_pooled_list *list);

// Removes the value at this address. False, and reported as a mistake, when it was removed already.
bool hw_pooled_list_remove(struct hw_pooled_list *list, void *value);

struct hw_pooled_list_chunk *hw_pooled_list_grow_(struct hw_pooled_list *list, bool at_back);
void hw_pooled_list_mend_(struct hw_pooled_list *list, struct hw_pooled_list_chunk *chunk);
void *hw_pooled_list_skip_(const struct hw_pooled_list *list, const void *value);

static inline struct hw_pooled_list_chunk *hw_pooled_list_chunk_(struct hw_link *link)
{
	return HW_CONTAINER_OF(link, struct hw_pooled_list_chunk, link);
}

// The new value's place; NULL when out of memory.
static inline void *hw_pooled_list_push_back(struct hw_pooled_list *list)
{
	struct hw_link *last = list->chunks.ends.previous;
	struct hw_pooled_list_chunk *chunk = hw_pooled_list_chunk_(last);

	if (last == &list->chunks.ends || chunk->end == list->slots_end) {
		chunk = hw_pooled_list_grow_(list, true);
		if (!chunk)
			return NULL;
	}
	void *value = (char *)chunk + chunk->end;
	chunk->end += (uint32_t)list->value_bytes;
	list->count++;
	list->changes++;
	return value;
}

static inline void *hw_pooled_list_push_front(struct hw_pooled_list *list)
{
	struct hw_link *first = list->chunks.ends.next;
	struct hw_pooled_list_chunk *chunk = hw_pooled_list_chunk_(first);

	if (first == &list->chunks.ends || chunk->begin == sizeof(*chunk)) {
		chunk = hw_pooled_list_grow_(list, false);
		if (!chunk)
			return NULL;
	}
	chunk->begin -= (uint32_t)list->value_bytes;
	list->count++;
	list->changes++;
	return (char *)chunk + chunk->begin;
}

// Copies the first value to `value` (may be NULL) and removes it. False when the list is empty.
static inline bool hw_pooled_list_pop_front(struct hw_pooled_list *list, void *value)
{
	struct hw_pooled_list_chunk *chunk = hw_pooled_list_chunk_(list->chunks.ends.next);

	if (!list->count)
		return false;
	if (value)
		hw_value_copy(value, (char *)chunk + chunk->begin, list->copy_bytes);
	chunk->begin += (uint32_t)list->value_bytes;
	list->count--;
	list->changes++;
	if (__builtin_expect(chunk->holes || chunk->begin == chunk->end, 0))
		hw_pooled_list_mend_(list, chunk);
	return true;
}

static inline bool hw_pooled_list_pop_back(struct hw_pooled_list *list, void *value)
{
	struct hw_pooled_list_chunk *chunk = hw_pooled_list_chunk_(list->chunks.ends.previous);

	if (!list->count)
		return false;
	chunk->end -= (uint32_t)list->value_bytes;
	if (value)
		hw_value_copy(value, (char *)chunk + chunk->end, list->copy_bytes);
	list->count--;
	list->changes++;
	if (__builtin_expect(chunk->holes || chunk->begin == chunk->end, 0))
		hw_pooled_list_mend_(list, chunk);
	return true;
}

// NULL when the list is empty.
static inline void *hw_pooled_list_first(const struct hw_pooled_list *list)
{
	struct hw_pooled_list_chunk *chunk = hw_pooled_list_chunk_(list->chunks.ends.next);

	return list->count ? (char *)chunk + chunk->begin : NULL;
}

// The value behind `value`; NULL at the end.
static inline void *hw_pooled_list_after(const struct hw_pooled_list *list, const void *value)
{
	uintptr_t offset = (uintptr_t)value & (list->chunk_bytes - 1);
	const struct hw_pooled_list_chunk *chunk =
		(const struct hw_pooled_list_chunk *)((const char *)value - offset);

	if (__builtin_expect(chunk->holes || offset + list->value_bytes == chunk->end, 0))
		return hw_pooled_list_skip_(list, value);
	return (char *)value + list->value_bytes;
}

// `value` is a pointer to the values' type, declared by the caller.
#define hw_pooled_list_each(list, value)                    \
	for ((value) = hw_pooled_list_first(list); (value); \
		(value) = hw_pooled_list_after((list), (value)))

struct hw_pooled_list_iterator {
	struct hw_pooled_list *list;
	void *current, *next;
	uint64_t changes;
	bool failed; // the list was changed by others
};

struct hw_pooled_list_iterator hw_pooled_list_iterate(struct hw_pooled_list *list);

// NULL at the end, or when the list was changed other than through this iterator.
void *hw_pooled_list_next(struct hw_pooled_list_iterator *iterator);

// Removes the value that hw_pooled_list_next() returned last. False when there is none, or when the list was changed.
bool hw_pooled_list_iterator_remove(struct hw_pooled_list_iterator *iterator);

// An array of pointers to the values, to be freed with free(). NULL with `count` 0 when the list is empty, NULL with
// another `count` when out of memory. O(n).
void **hw_pooled_list_snapshot(const struct hw_pooled_list *list, size_t *count);

#ifdef __cplusplus
}
#endif

#endif
