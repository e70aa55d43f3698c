// Entries in one block, and their updates. See heapwhy/kv.h.
#include "heapwhy/kv.h"

#include <string.h>

enum { ALIGNMENT = 16 };

static size_t block_bytes(uint32_t key_bytes, uint32_t value_room)
{
	return sizeof(struct hw_kv) + key_bytes + (size_t)value_room;
}

struct hw_kv *hw_kv_make(const void *key, size_t key_bytes, const void *value, size_t value_bytes,
	struct hw_allocator *allocator)
{
	if (key_bytes > INT32_MAX || value_bytes > INT32_MAX)
		return NULL;
	size_t bytes = block_bytes((uint32_t)key_bytes, (uint32_t)value_bytes);
	bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	struct hw_kv *entry = hw_alloc(allocator, bytes, ALIGNMENT);
	if (!entry)
		return NULL;
	*entry = (struct hw_kv){
		.allocator = allocator,
		.holders = 1,
		.key_bytes = (uint32_t)key_bytes,
		.value_bytes = (uint32_t)value_bytes,
		.value_room = (uint32_t)(bytes - sizeof(*entry) - key_bytes),
	};
	if (key_bytes)
		memcpy(entry->data, key, key_bytes);
	if (value_bytes)
		memcpy(entry->data + key_bytes, value, value_bytes);
	return entry;
}

struct hw_kv *hw_kv_hold(struct hw_kv *entry)
{
	__atomic_fetch_add(&entry->holders, 1, __ATOMIC_RELAXED);
	return entry;
}

void hw_kv_release(struct hw_kv *entry)
{
	// What other holders read or wrote comes before freeing it.
	if (entry && __atomic_sub_fetch(&entry->holders, 1, __ATOMIC_ACQ_REL) == 0)
		hw_free(entry->allocator, entry, block_bytes(entry->key_bytes, entry->value_room),
			ALIGNMENT);
}

// False when somebody else holds the entry, or when there is no room. A value that needs less than half of the room
// does not stay in it: the memory goes back.
static bool update_in_place(struct hw_kv *entry, const void *value, size_t value_bytes)
{
	if (__atomic_load_n(&entry->holders, __ATOMIC_ACQUIRE) != 1 ||
		value_bytes > entry->value_room ||
		value_bytes + 2 * ALIGNMENT < entry->value_room / 2)
		return false;
	memmove(entry->data + entry->key_bytes, value, value_bytes);
	entry->value_bytes = (uint32_t)value_bytes;
	return true;
}

static struct hw_kv *kv_copy(const struct hw_kv *entry, const void *value, size_t value_bytes)
{
	return hw_kv_make(hw_kv_key(entry), entry->key_bytes, value, value_bytes, entry->allocator);
}

bool hw_kv_update(struct hw_kv **place, const void *value, size_t value_bytes)
{
	if (update_in_place(*place, value, value_bytes))
		return true;
	struct hw_kv *old = hw_kv_replace(place, value, value_bytes);
	hw_kv_release(old);
	return old;
}

bool hw_kv_update_handle(
	struct hw_handles *handles, hw_handle handle, const void *value, size_t value_bytes)
{
	struct hw_kv *entry = hw_handle_get(handles, handle);

	if (!entry || !hw_kv_update(&entry, value, value_bytes))
		return false;
	return hw_handle_move(handles, handle, entry);
}

struct hw_kv *hw_kv_replace(struct hw_kv **place, const void *value, size_t value_bytes)
{
	struct hw_kv *copy = kv_copy(*place, value, value_bytes);

	return copy ? __atomic_exchange_n(place, copy, __ATOMIC_ACQ_REL) : NULL;
}
