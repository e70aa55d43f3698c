// The results: an object's type, and how one object refers to another.
#include "goruntime/typing_labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t typing_elements(const struct object_type *type, const struct span *span)
{
	if (!type->array || !type->type->size)
		return 1;
	return (span->elem_size - span->header_bytes) / type->type->size;
}

bool typing_is_closure(const struct typing *typing, object_id id)
{
	uint32_t claim = typing_claim_of(typing, id);
	const struct go_type *type = claim ? type_by_id(typing->types, claim_type_id(claim)) : NULL;

	return type && type->synthetic && hw_map_get(&typing->capture_types, type->id, NULL);
}

// ---- edges

struct edge_search {
	const struct heap *heap;
	object_id to;
	uint64_t offset;
};

static bool edge_visit(void *context, const struct word_group *group)
{
	struct edge_search *search = context;

	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		unsigned i = __builtin_ctzll(bits);
		if (heap_find(search->heap, group->words[i]) == search->to) {
			search->offset = group->offset + 8 * (uint64_t)i;
			return false;
		}
	}
	return true;
}

static bool starts_with(const char *string, const char *prefix)
{
	return !strncmp(string, prefix, strlen(prefix));
}

// A word of a map's bucket or group: a key, a value, or the next bucket.
static void describe_map_word(const char *field, char *buffer, size_t size)
{
	if (starts_with(field, "overflow"))
		snprintf(buffer, size, " next bucket");
	else if (strstr(field, ".key") || starts_with(field, "keys"))
		snprintf(buffer, size, " key");
	else
		snprintf(buffer, size, " value");
}

void typing_word(struct typing *typing, object_id from, uint64_t offset, char *buffer, size_t size)
{
	char field[256];

	if (!size)
		return;
	buffer[0] = '\0';
	uint32_t claim = typing_claim_of(typing, from);
	if (!claim || claim & CLAIM_GUESS)
		return;
	const struct go_type *type = type_by_id(typing->types, claim_type_id(claim));
	uint64_t header = heap_span_of(typing->heap, from)->header_bytes;
	if (!type->size || offset < header)
		return;
	offset -= header;
	uint64_t index = offset / type->size;
	bool array = claim & CLAIM_ARRAY;
	if (!array && index)
		return;
	type_describe_offset(type, offset % type->size, field, sizeof(field));
	const char *dot = *field && *field != '[' ? "." : "";
	if (starts_with(type->name, "map.") || starts_with(type->name, "noalg.map."))
		describe_map_word(field, buffer, size);
	else if (array)
		snprintf(buffer, size, "[%" PRIu64 "]%s%s", index, dot, field);
	else if (type->synthetic && type->field_count && !strcmp(dot, ".") &&
		 hw_map_get(&typing->capture_types, type->id, NULL))
		snprintf(buffer, size, " captured %s", field);
	else
		snprintf(buffer, size, "%s%s", dot, field);
}

void typing_edge(struct typing *typing, object_id from, object_id to, char *buffer, size_t size)
{
	struct edge_search search = {.heap = typing->heap, .to = to};

	if (!size)
		return;
	buffer[0] = '\0';
	if (!heap_scan_object(typing->reader, from, edge_visit, &search))
		typing_word(typing, from, search.offset, buffer, size);
}
