// Chunks of values: what happens at their ends, and the careful ways to walk them. See heapwhy/pooled_list.h.
#include "heapwhy/pooled_list.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_MIN = 1024, CHUNK_VALUES_MIN = 16 };

static const struct hw_measure pooled_list_measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_pooled_list, count),
	HW_MEASURE_PRODUCT(HW_USED_BYTES, struct hw_pooled_list, count, value_bytes, 1),
	HW_MEASURE_PRODUCT(
		HW_HELD_BYTES, struct hw_pooled_list, pool.slab_count, pool.slab_bytes, 1),
};
static const struct hw_kind pooled_list_kind = HW_KIND("pooled list", pooled_list_measures);

void hw_pooled_list_init(
	struct hw_pooled_list *list, size_t value_bytes, struct hw_allocator *allocator)
{
	size_t value = value_bytes ? (value_bytes + 7) & ~(size_t)7 : 8;
	uint32_t chunk = CHUNK_MIN;

	while (chunk < HW_POOL_NODE_MAX && chunk < value * CHUNK_VALUES_MIN)
		chunk *= 2;
	*list = (struct hw_pooled_list){
		.value_bytes = value,
		.copy_bytes = (uint32_t)value_bytes,
		.chunk_bytes = chunk,
	};
	uint32_t slots = (uint32_t)((chunk - sizeof(struct hw_pooled_list_chunk)) / value);
	list->slots_end = (uint32_t)(sizeof(struct hw_pooled_list_chunk) + slots * value);
	hw_list_init(&list->chunks);
	hw_pool_init(&list->pool, slots ? chunk : SIZE_MAX / 2, allocator);
	hw_unregister(&list->pool.registration); // the list answers for its pool
	hw_register(&list->registration, &pooled_list_kind, allocator);
}

void hw_pooled_list_deinit(struct hw_pooled_list *list)
{
	hw_unregister(&list->registration);
	hw_pool_deinit(&list->pool);
	hw_list_init(&list->chunks);
	list->count = 0;
}

static void chunk_free(struct hw_pooled_list *list, struct hw_pooled_list_chunk *chunk)
{
	hw_list_remove(&chunk->link);
	hw_pool_free(&list->pool, chunk);
}

void hw_pooled_list_clear(struct hw_pooled_list *list)
{
	hw_list_each_safe (&list->chunks, link)
		chunk_free(list, hw_pooled_list_chunk_(link));
	list->count = 0;
	list->changes++;
}

struct hw_pooled_list_chunk *hw_pooled_list_grow_(struct hw_pooled_list *list, bool at_back)
{
	struct hw_pooled_list_chunk *chunk =
		(struct hw_pooled_list_chunk *)hw_pool_alloc(&list->pool);

	if (!chunk)
		return NULL;
	*chunk = (struct hw_pooled_list_chunk){0};
	chunk->begin = chunk->end = at_back ? sizeof(*chunk) : list->slots_end;
	if (at_back)
		hw_list_push_back(&list->chunks, &chunk->link);
	else
		hw_list_push_front(&list->chunks, &chunk->link);
	return chunk;
}

static uint32_t slot_at(const struct hw_pooled_list *list, uint32_t offset)
{
	return (uint32_t)((offset - sizeof(struct hw_pooled_list_chunk)) / list->value_bytes);
}

static bool slot_is_hole(const struct hw_pooled_list_chunk *chunk, uint32_t slot)
{
	return chunk->removed[slot / 64] >> slot % 64 & 1;
}

static void slot_set_hole(struct hw_pooled_list_chunk *chunk, uint32_t slot, bool hole)
{
	chunk->removed[slot / 64] ^= UINT64_C(1) << slot % 64;
	chunk->holes += hole ? 1 : UINT64_MAX;
}

// Holes at the chunk's ends are taken in, and an empty chunk goes.
void hw_pooled_list_mend_(struct hw_pooled_list *list, struct hw_pooled_list_chunk *chunk)
{
	uint32_t value_bytes = (uint32_t)list->value_bytes;

	for (uint32_t slot; chunk->holes && chunk->begin != chunk->end;
		chunk->begin += value_bytes) {
		slot = slot_at(list, chunk->begin);
		if (!slot_is_hole(chunk, slot))
			break;
		slot_set_hole(chunk, slot, false);
	}
	for (uint32_t slot; chunk->holes && chunk->begin != chunk->end; chunk->end -= value_bytes) {
		slot = slot_at(list, chunk->end - value_bytes);
		if (!slot_is_hole(chunk, slot))
			break;
		slot_set_hole(chunk, slot, false);
	}
	if (chunk->begin == chunk->end)
		chunk_free(list, chunk);
}

static struct hw_pooled_list_chunk *chunk_of(const struct hw_pooled_list *list, const void *value)
{
	return (struct hw_pooled_list_chunk *)((uintptr_t)value &
					       ~(uintptr_t)(list->chunk_bytes - 1));
}

bool hw_pooled_list_remove(struct hw_pooled_list *list, void *value)
{
	struct hw_pooled_list_chunk *chunk = chunk_of(list, value);
	uint32_t offset = (uint32_t)((char *)value - (char *)chunk), slot = slot_at(list, offset);

	if (offset < chunk->begin || offset >= chunk->end || slot_is_hole(chunk, slot)) {
		hw_debug_report(&(struct hw_violation){
			HW_FREED_TWICE, value, list->value_bytes, HW_HERE, NULL, NULL});
		return false;
	}
	slot_set_hole(chunk, slot, true);
	list->count--;
	list->changes++;
	if (offset == chunk->begin || offset + list->value_bytes == chunk->end)
		hw_pooled_list_mend_(list, chunk);
	return true;
}

// The next value, past holes and the chunk's end.
void *hw_pooled_list_skip_(const struct hw_pooled_list *list, const void *value)
{
	struct hw_pooled_list_chunk *chunk = chunk_of(list, value);
	uint32_t offset = (uint32_t)((const char *)value - (char *)chunk);

	for (;;) {
		offset += (uint32_t)list->value_bytes;
		if (offset == chunk->end) {
			if (chunk->link.next == &list->chunks.ends)
				return NULL;
			chunk = hw_pooled_list_chunk_(chunk->link.next);
			return (char *)chunk + chunk->begin;
		}
		if (!slot_is_hole(chunk, slot_at(list, offset)))
			return (char *)chunk + offset;
	}
}

struct hw_pooled_list_iterator hw_pooled_list_iterate(struct hw_pooled_list *list)
{
	return (struct hw_pooled_list_iterator){
		.list = list,
		.next = hw_pooled_list_first(list),
		.changes = list->changes,
	};
}

static bool iterator_is_valid(struct hw_pooled_list_iterator *iterator)
{
	if (iterator->changes != iterator->list->changes)
		iterator->failed = true;
	return !iterator->failed;
}

void *hw_pooled_list_next(struct hw_pooled_list_iterator *iterator)
{
	iterator->current = iterator_is_valid(iterator) ? iterator->next : NULL;
	if (iterator->current)
		iterator->next = hw_pooled_list_after(iterator->list, iterator->current);
	return iterator->current;
}

bool hw_pooled_list_iterator_remove(struct hw_pooled_list_iterator *iterator)
{
	if (!iterator->current || !iterator_is_valid(iterator))
		return false;
	hw_pooled_list_remove(iterator->list, iterator->current);
	iterator->current = NULL;
	iterator->changes = iterator->list->changes;
	return true;
}

void **hw_pooled_list_snapshot(const struct hw_pooled_list *list, size_t *count)
{
	void **values = list->count ? malloc(list->count * sizeof(*values)) : NULL, *value;
	size_t filled = 0;

	if (values)
		hw_pooled_list_each (list, value)
			values[filled++] = value;
	*count = list->count;
	return values;
}

static void chunk_moved(void *context, void *from, void *to)
{
	struct hw_pooled_list_chunk *chunk = to;

	chunk->link.next->previous = &chunk->link;
	chunk->link.previous->next = &chunk->link;
}

// `end` is where the values written so far end; nothing was removed among them.
static void chunk_seal(struct hw_pooled_list_chunk *chunk, uint32_t end)
{
	chunk->begin = sizeof(*chunk);
	chunk->end = end;
	chunk->holes = 0;
	memset(chunk->removed, 0, sizeof(chunk->removed));
}

// Values are written in their order, never further on than where they are read, so they all fit. A chunk's fields are
// set only when reading has left it.
void hw_pooled_list_compact(struct hw_pooled_list *list)
{
	void *value = hw_pooled_list_first(list), *next;
	struct hw_pooled_list_chunk *written = value ? chunk_of(list, value) : NULL;
	uint32_t end = sizeof(*written);

	for (; value; value = next) {
		next = hw_pooled_list_after(list, value);
		if (end == list->slots_end) {
			chunk_seal(written, end);
			written = hw_pooled_list_chunk_(written->link.next);
			end = sizeof(*written);
		}
		memmove((char *)written + end, value, list->value_bytes);
		end += (uint32_t)list->value_bytes;
	}
	if (written) {
		chunk_seal(written, end);
		while (list->chunks.ends.previous != &written->link)
			chunk_free(list, hw_pooled_list_chunk_(list->chunks.ends.previous));
	}
	hw_pool_compact(&list->pool, chunk_moved, NULL);
	list->changes++;
}
