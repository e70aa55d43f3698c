// The results: an object's type, labels for histograms, how one object refers to another.
#include "goruntime/typing_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

struct label {
	const char *name;
	enum type_source source;
};

struct labels {
	uint32_t *of_claim;    // by claim, without CLAIM_FIRM: number + 1
	struct hw_map untyped; // label_key() of what has no claim -> number
	HW_VECTOR(struct label) list;
	struct typing_statistics statistics;
};

void typing_of_in(
	const struct typing *typing, const struct span *span, object_id id, struct object_type *out)
{
	uint32_t claim = typing->claims[id];

	*out = (struct object_type){0};
	if (!claim)
		return;
	out->type = type_by_id(typing->types, claim_type_id(claim));
	out->array = claim & CLAIM_ARRAY;
	out->source = claim & CLAIM_GUESS ? TYPED_GUESS : TYPED_EXACT;
	out->count = 1;
	if (out->array && out->type->size)
		out->count = (span->elem_size - span->header_bytes) / out->type->size;
}

void typing_of(const struct typing *typing, object_id id, struct object_type *out)
{
	*out = (struct object_type){0};
	if (id < typing->heap->object_count)
		typing_of_in(typing, heap_span_of(typing->heap, id), id, out);
}

// An untyped object of which a part is known: that part's type, or NULL.
static const struct go_type *known_part(const struct typing *typing, object_id id)
{
	remote_addr address;
	uint32_t type;

	return typing_first_part(typing, id, &address, &type) ? type_by_id(typing->types, type)
							      : NULL;
}

bool typing_is_closure(const struct typing *typing, object_id id)
{
	const struct go_type *type = typing_object_type(typing, id);

	return type && type->synthetic && hw_map_get(&typing->capture_types, type->id, NULL);
}

#define KEY_UNTYPED (UINT64_C(1) << 63)

// What is labelled alike has the same key: objects of one claim, untyped ones of one size and known part.
static uint64_t untyped_key(const struct typing *typing, const struct span *span, object_id id)
{
	const struct go_type *part = known_part(typing, id);
	uint64_t size = span->size_class ? span->elem_size / 8 : 0;

	return KEY_UNTYPED | (part ? (uint64_t)part->id + 1 : 0) << 16 | size << 1 | span->noscan;
}

static uint32_t claim_key(uint32_t claim)
{
	return claim & ~(uint32_t)CLAIM_FIRM;
}

static void label_name(const struct typing *typing, uint64_t key, struct text *name)
{
	if (!(key & KEY_UNTYPED)) {
		const struct go_type *type = type_by_id(typing->types, claim_type_id(key));
		bool bytes = type == typing->known.string_bytes;
		if (key & CLAIM_MIXED)
			text_append(name, "tiny objects");
		else
			text_printf(
				name, "%s%s", key & CLAIM_ARRAY && !bytes ? "[]" : "", type->name);
		return;
	}
	uint64_t size = (key >> 1 & 0x7fff) * 8, part = (key & ~KEY_UNTYPED) >> 16;
	if (size)
		text_printf(name, "untyped %" PRIu64 " B", size);
	else
		text_append(name, "untyped, large");
	if (key & 1)
		text_append(name, ", no pointers");
	if (part)
		text_printf(name, ", holds %s", type_by_id(typing->types, part - 1)->name);
}

static enum type_source key_source(uint64_t key)
{
	if (key & KEY_UNTYPED)
		return TYPED_NOT;
	return key & CLAIM_GUESS ? TYPED_GUESS : TYPED_EXACT;
}

static bool labels_add(struct typing *typing, struct labels *labels, uint64_t key)
{
	_cleanup_text_ struct text name = TEXT_INIT;

	label_name(typing, key, &name);
	char *copy = name.failed ? NULL : hw_arena_strndup(&typing->arena, name.bytes, name.length);
	struct label label = {.name = copy, .source = key_source(key)};
	if (!copy || !hw_vector_push(&labels->list, label))
		return false;
	if (key & KEY_UNTYPED)
		return hw_map_put(&labels->untyped, key, labels->list.count - 1);
	labels->of_claim[key] = (uint32_t)labels->list.count;
	return true;
}

static void count_object(struct labels *labels, uint64_t key, uint64_t bytes)
{
	struct typing_statistics *statistics = &labels->statistics;

	switch (key_source(key)) {
	case TYPED_EXACT:
		statistics->exact_objects++;
		statistics->exact_bytes += bytes;
		break;
	case TYPED_GUESS:
		statistics->guessed_objects++;
		statistics->guessed_bytes += bytes;
		break;
	case TYPED_NOT:
		statistics->untyped_objects++;
		statistics->untyped_bytes += bytes;
		break;
	}
}

// Counts an object, and gives its key a label if it is the first of its kind.
static bool labels_count(
	struct typing *typing, struct labels *labels, const struct span *span, object_id id)
{
	uint32_t claim = claim_key(typing->claims[id]);
	uint64_t key = claim ? claim : untyped_key(typing, span, id);

	count_object(labels, key, span->elem_size);
	if (claim ? labels->of_claim[claim] != 0 : hw_map_get(&labels->untyped, key, NULL))
		return true;
	return labels_add(typing, labels, key);
}

struct error *labels_create(struct typing *typing, struct labels **out)
{
	struct labels *labels = calloc(1, sizeof(*labels));
	const struct heap *heap = typing->heap;

	if (!labels)
		return error_no_memory();
	hw_map_init(&labels->untyped);
	labels->of_claim = calloc(((size_t)type_table_count(typing->types) + 1) << CLAIM_TYPE_SHIFT,
		sizeof(uint32_t));
	bool done = labels->of_claim;
	for (uint32_t i = 0; i < heap->span_count && done; i++) {
		const struct span *span = &heap->spans[i];
		for (object_id id = span->first; id < span->first + span->count && done; id++)
			done = !typing_is_live(typing, id) ||
			       labels_count(typing, labels, span, id);
	}
	if (!done) {
		labels_destroy(labels);
		return error_no_memory();
	}
	*out = labels;
	return NULL;
}

void labels_destroy(struct labels *labels)
{
	if (!labels)
		return;
	free(labels->of_claim);
	hw_map_deinit(&labels->untyped);
	hw_vector_deinit(&labels->list);
	free(labels);
}

void typing_statistics(const struct typing *typing, struct typing_statistics *out)
{
	*out = typing->labels->statistics;
}

uint32_t typing_label_of(const struct typing *typing, object_id id)
{
	const struct labels *labels = typing->labels;
	uint64_t number = 0;

	if (id >= typing->heap->object_count)
		return 0;
	uint32_t claim = claim_key(typing->claims[id]);
	if (claim)
		return labels->of_claim[claim] ? labels->of_claim[claim] - 1 : 0;
	hw_map_get(
		&labels->untyped, untyped_key(typing, heap_span_of(typing->heap, id), id), &number);
	return number;
}

uint32_t typing_label_count(const struct typing *typing)
{
	return typing->labels->list.count;
}

const char *typing_label_name(const struct typing *typing, uint32_t label)
{
	return label < typing->labels->list.count ? typing->labels->list.items[label].name : "";
}

enum type_source typing_label_source(const struct typing *typing, uint32_t label)
{
	return label < typing->labels->list.count ? typing->labels->list.items[label].source
						  : TYPED_NOT;
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
	const struct go_type *type = typing_object_type(typing, from);
	uint64_t header = heap_span_of(typing->heap, from)->header_bytes;
	if (!type || !type->size || offset < header || typing->claims[from] & CLAIM_GUESS)
		return;
	offset -= header;
	uint64_t index = offset / type->size;
	bool array = typing->claims[from] & CLAIM_ARRAY;
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
