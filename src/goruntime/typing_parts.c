#include "goruntime/typing_parts.h"

#include <stdlib.h>
#include <string.h>

#include "goruntime/typing_private.h"

void parts_init(struct parts *parts)
{
	memset(parts, 0, sizeof(*parts));
	hw_map_init(&parts->at);
	hw_map_init(&parts->first);
}

void parts_deinit(struct parts *parts)
{
	hw_map_deinit(&parts->at);
	hw_map_deinit(&parts->first);
	hw_vector_deinit(&parts->queue);
}

void typing_add_part(struct typing *typing, remote_addr address, const struct go_type *type,
	uint64_t count, bool certain)
{
	struct parts *parts = &typing->parts;
	struct typed_memory memory = {
		address, type->id, certain, count < UINT32_MAX ? count : UINT32_MAX};
	uint64_t *place = hw_map_at(&parts->at, address, 0);

	if (!place) {
		typing->no_memory = true;
		return;
	}
	if (*place) {
		const struct go_type *old = type_by_id(typing->types, *place >> 32);
		// A long array comes first as a whole, then as its elements: of equal size, and still to be followed.
		uint64_t old_size = (*place & UINT32_MAX) * old->size;
		uint64_t size = memory.count * type->size;
		bool elements = old->kind == GO_ARRAY && old->elem == type;
		if (old_size > size || (old_size == size && !elements))
			return;
	}
	*place = (uint64_t)memory.type << 32 | memory.count;
	if (type->pointer_bytes && !hw_vector_push(&parts->queue, memory))
		typing->no_memory = true;
}

void typing_set_first_part(struct typing *typing, object_id id, remote_addr address)
{
	if (!hw_map_at(&typing->parts.first, id, address))
		typing->no_memory = true;
}

bool typing_first_part(
	const struct typing *typing, object_id id, remote_addr *address, uint32_t *type)
{
	uint64_t found, packed;

	if (!hw_map_get(&typing->parts.first, id, &found) ||
		!hw_map_get(&typing->parts.at, found, &packed))
		return false;
	*address = found;
	*type = packed >> 32;
	return true;
}

static int compare_memory(const void *left, const void *right)
{
	const struct typed_memory *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

struct typed_memory *typing_take_parts(struct typing *typing, size_t *count)
{
	struct parts *parts = &typing->parts;
	struct typed_memory *taken = parts->queue.items;

	*count = parts->queue.count;
	if (*count)
		qsort(taken, *count, sizeof(*taken), compare_memory);
	memset(&parts->queue, 0, sizeof(parts->queue));
	return taken;
}

void typing_settle_parts(struct typing *typing)
{
	struct parts kept;

	parts_init(&kept);
	hw_map_each (&typing->parts.first, entry) {
		uint64_t packed;
		if (typing->claims[entry->key] ||
			!hw_map_get(&typing->parts.at, entry->value, &packed))
			continue;
		if (!hw_map_put(&kept.first, entry->key, entry->value) ||
			!hw_map_put(&kept.at, entry->value, packed))
			typing->no_memory = true;
	}
	parts_deinit(&typing->parts);
	typing->parts = kept;
}
