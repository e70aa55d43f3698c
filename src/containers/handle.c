// A table of objects with generations, and the map on it. See heapwhy/handle.h.
#include "heapwhy/handle.h"

#include "heapwhy/debug.h"

enum { CAPACITY_MIN = 16, ALIGNMENT = 16 };

static const struct hw_measure handles_measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_handles, count),
	HW_MEASURE_TIMES(HW_USED_BYTES, struct hw_handles, count, sizeof(struct hw_handle_slot)),
	HW_MEASURE_TIMES(HW_HELD_BYTES, struct hw_handles, capacity, sizeof(struct hw_handle_slot)),
	HW_MEASURE(HW_MISSES, struct hw_handles, stale),
};
static const struct hw_kind handles_kind = HW_KIND("handles", handles_measures);

void hw_handles_init(struct hw_handles *handles, struct hw_allocator *allocator)
{
	*handles = (struct hw_handles){.allocator = allocator};
	hw_register(&handles->registration, &handles_kind, allocator);
}

void hw_handles_deinit(struct hw_handles *handles)
{
	hw_unregister(&handles->registration);
	hw_free(handles->allocator, handles->slots, handles->capacity * sizeof(handles->slots[0]),
		ALIGNMENT);
	*handles = (struct hw_handles){0};
}

static bool handles_grow(struct hw_handles *handles)
{
	uint64_t capacity = handles->capacity + handles->capacity / 2 + CAPACITY_MIN;
	size_t size = sizeof(handles->slots[0]);

	if (capacity > UINT32_MAX)
		return false;
	struct hw_handle_slot *slots = hw_resize(handles->allocator, handles->slots,
		handles->capacity * size, capacity * size, ALIGNMENT);
	if (!slots)
		return false;
	handles->slots = slots;
	handles->capacity = capacity;
	return true;
}

hw_handle hw_handle_make(struct hw_handles *handles, void *object)
{
	uint32_t place;

	if (handles->first_free) {
		place = handles->first_free - 1;
		handles->first_free = handles->slots[place].next_free;
	} else {
		if (handles->used_slots == handles->capacity && !handles_grow(handles))
			return 0;
		place = (uint32_t)handles->used_slots++;
		handles->slots[place].generation = 0;
	}
	struct hw_handle_slot *slot = &handles->slots[place];
	slot->object = object;
	slot->generation++;
	handles->count++;
	return (uint64_t)slot->generation << 32 | place;
}

static struct hw_handle_slot *slot_of(struct hw_handles *handles, hw_handle handle)
{
	uint32_t place = (uint32_t)handle, generation = (uint32_t)(handle >> 32);

	if (place < handles->used_slots && generation % 2 &&
		handles->slots[place].generation == generation)
		return &handles->slots[place];
	handles->stale++;
	return NULL;
}

void *hw_handle_get(struct hw_handles *handles, hw_handle handle)
{
	struct hw_handle_slot *slot = slot_of(handles, handle);

	return slot ? slot->object : NULL;
}

bool hw_handle_move(struct hw_handles *handles, hw_handle handle, void *object)
{
	struct hw_handle_slot *slot = slot_of(handles, handle);

	if (slot)
		slot->object = object;
	return slot;
}

bool hw_handle_drop(struct hw_handles *handles, hw_handle handle)
{
	struct hw_handle_slot *slot = slot_of(handles, handle);

	if (!slot) {
		if (hw_debug_enabled())
			hw_debug_report(&(struct hw_violation){HW_STALE_HANDLE,
				(const void *)(uintptr_t)handle, 0, HW_HERE, NULL, NULL});
		return false;
	}
	slot->object = NULL;
	handles->count--;
	if (++slot->generation) { // else the place is used up
		slot->next_free = handles->first_free;
		handles->first_free = (uint32_t)handle + 1;
	}
	return true;
}

void hw_weak_map_init(
	struct hw_weak_map *weak, struct hw_handles *handles, struct hw_allocator *allocator)
{
	hw_map_init_with(&weak->map, allocator);
	weak->handles = handles;
}

void hw_weak_map_deinit(struct hw_weak_map *weak)
{
	hw_map_deinit(&weak->map);
}

bool hw_weak_map_put(struct hw_weak_map *weak, uint64_t key, hw_handle handle)
{
	return hw_map_put(&weak->map, key, handle);
}

void *hw_weak_map_get(struct hw_weak_map *weak, uint64_t key)
{
	hw_handle handle;

	if (!hw_map_get(&weak->map, key, &handle))
		return NULL;
	void *object = hw_handle_get(weak->handles, handle);
	if (!object)
		hw_map_delete(&weak->map, key);
	return object;
}

size_t hw_weak_map_sweep(struct hw_weak_map *weak)
{
	struct hw_map_iterator it = hw_map_iterate(&weak->map);
	const struct hw_map_walk *entry;
	size_t dropped = 0;

	while ((entry = hw_map_iterator_next(&it)))
		if (!hw_handle_get(weak->handles, entry->value))
			dropped += hw_map_iterator_remove(&it);
	hw_map_shrink(&weak->map);
	return dropped;
}
