// When no claim changes any more, what objects are reported as is numbered, and the numbers take the claims' place: mostly
// half of it.
#include "goruntime/typing_labels.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/pages.h"
#include "base/text.h"

struct label {
	const char *name;
	uint32_t claim; // without CLAIM_FIRM; 0: untyped
	struct label_count count;
};

// Number 0 is for what is not alive.
struct labels {
	HW_VECTOR(struct label) list;
	HW_VECTOR(struct object_type) types; // by number, close together: everybody asks for them
	struct typing_statistics statistics;
	size_t objects;
	uint32_t *wide;   // by object; NULL when there are few enough numbers for
	uint16_t *narrow; // these
	uint64_t *near;   // by 64 objects: typing_labels_near()
};

struct labelling {
	struct typing *typing;
	struct labels *labels;
	uint32_t *of_claim;    // by claim, without CLAIM_FIRM; 0: none yet
	struct hw_map untyped; // untyped_key() -> number
};

enum { NARROW_MAX = 1 << 16 };

// An untyped object of which a part is known: that part's type, or NULL.
static const struct go_type *known_part(const struct typing *typing, object_id id)
{
	remote_addr address;
	uint32_t type;

	return typing_first_part(typing, id, &address, &type) ? type_by_id(typing->types, type)
							      : NULL;
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

static struct object_type key_type(const struct typing *typing, uint64_t key)
{
	if (key & KEY_UNTYPED)
		return (struct object_type){.source = TYPED_NOT};
	return (struct object_type){
		.type = type_by_id(typing->types, claim_type_id((uint32_t)key)),
		.array = key & CLAIM_ARRAY,
		.source = key & CLAIM_GUESS ? TYPED_GUESS : TYPED_EXACT,
	};
}

static uint32_t label_add(struct labelling *labelling, uint64_t key)
{
	struct typing *typing = labelling->typing;
	struct labels *labels = labelling->labels;
	_cleanup_text_ struct text name = TEXT_INIT;

	label_name(typing, key, &name);
	struct label label = {
		.name = name.failed ? NULL
				    : hw_arena_strndup(&typing->arena, name.bytes, name.length),
		.claim = key & KEY_UNTYPED ? 0 : (uint32_t)key,
	};
	if (!label.name || !hw_vector_push(&labels->types, key_type(typing, key)) ||
		!hw_vector_push(&labels->list, label))
		return 0;
	uint32_t number = (uint32_t)labels->list.count - 1;
	if (!(key & KEY_UNTYPED))
		labelling->of_claim[key] = number;
	else if (!hw_map_put(&labelling->untyped, key, number))
		return 0;
	return number;
}

// The number of a live object; 0: out of memory.
static uint32_t label_find(struct labelling *labelling, const struct span *span, object_id id)
{
	uint32_t claim = claim_key(labelling->typing->claims[id]);
	uint64_t key = claim ? claim : untyped_key(labelling->typing, span, id), number = 0;

	if (claim)
		number = labelling->of_claim[claim];
	else
		hw_map_get(&labelling->untyped, key, &number);
	return number ? (uint32_t)number : label_add(labelling, key);
}

// `objects` of a span, `first` among them.
static void label_count(struct labels *labels, uint32_t number, object_id first, uint64_t objects,
	const struct span *span)
{
	struct label_count *count = &labels->list.items[number].count;

	if (!count->objects)
		count->first = first;
	count->objects += objects;
	count->bytes += objects * span->elem_size;
}

// Are the 64 objects from `first`, a multiple of 64, on all alive and of this claim?
static bool are_alike(const struct typing *typing, object_id first, uint32_t claim)
{
	const uint32_t *claims = typing->claims + first;
	uint32_t differences = 0;

	if (typing->live[first / 64] != UINT64_MAX)
		return false;
	for (unsigned i = 0; i < 64; i++)
		differences |= claim_key(claims[i]) ^ claim;
	return !differences;
}

// Numbers what is alive in the span, in the place of the claims. Objects of one claim often follow each other, and are
// counted together.
static bool labels_number(struct labelling *labelling, const struct span *span)
{
	struct typing *typing = labelling->typing;
	struct labels *labels = labelling->labels;
	uint32_t claim = 0, number = 0;
	object_id first = span->first, end = span->first + span->count, block = 0;
	uint64_t objects = 0;

	for (object_id id = span->first; id < end; id++) {
		uint32_t here = claim_key(typing->claims[id]);
		if (claim && id % 64 == 0 && end - id >= 64 && are_alike(typing, id, claim)) {
			for (unsigned i = 0; i < 64; i++)
				typing->claims[id + i] = number;
			labels->near[id / 64] |= UINT64_C(1) << number % 64;
			objects += 64;
			id += 63;
			continue;
		}
		if (!typing_is_live(typing, id)) {
			typing->claims[id] = 0;
			continue;
		}
		if (!here || here != claim) {
			if (objects)
				label_count(labels, number, first, objects, span);
			number = label_find(labelling, span, id);
			if (!number)
				return false;
			claim = here;
			first = id;
			objects = 0;
		}
		if (id == first || id / 64 != block)
			labels->near[id / 64] |= UINT64_C(1) << number % 64;
		block = id / 64;
		typing->claims[id] = number;
		objects++;
	}
	if (objects)
		label_count(labels, number, first, objects, span);
	return true;
}

static bool labels_number_all(struct labelling *labelling)
{
	const struct heap *heap = labelling->typing->heap;

	for (uint32_t i = 0; i < heap->span_count; i++)
		if (!labels_number(labelling, &heap->spans[i]))
			return false;
	return true;
}

static void labels_sum(struct labels *labels)
{
	struct typing_statistics *sum = &labels->statistics;

	for (size_t i = 1; i < labels->list.count; i++) {
		const struct label *label = &labels->list.items[i];
		enum type_source source = labels->types.items[i].source;
		bool exact = source == TYPED_EXACT, guess = source == TYPED_GUESS;
		*(exact         ? &sum->exact_objects
			: guess ? &sum->guessed_objects
				: &sum->untyped_objects) += label->count.objects;
		*(exact         ? &sum->exact_bytes
			: guess ? &sum->guessed_bytes
				: &sum->untyped_bytes) += label->count.bytes;
	}
}

// In place, from the first to the last: what is written lies before what is still to be read.
static void labels_narrow(struct labels *labels)
{
	uint16_t *narrow = (uint16_t *)labels->wide;

	for (size_t i = 0; i < labels->objects; i++)
		narrow[i] = (uint16_t)labels->wide[i];
	void *shrunk = pages_resize(
		narrow, labels->objects * sizeof(*labels->wide), labels->objects * sizeof(*narrow));
	labels->narrow = shrunk ? shrunk : narrow;
	labels->wide = NULL;
}

static bool labels_make(struct labelling *labelling)
{
	struct typing *typing = labelling->typing;
	struct labels *labels = labelling->labels;

	hw_map_init(&labelling->untyped);
	labelling->of_claim =
		calloc(((size_t)type_table_count(typing->types) + 1) << CLAIM_TYPE_SHIFT,
			sizeof(uint32_t));
	labels->near = calloc((size_t)typing->heap->object_count / 64 + 1, sizeof(*labels->near));
	return labelling->of_claim && labels->near &&
	       hw_vector_push(&labels->list, (struct label){.name = ""}) &&
	       hw_vector_push(&labels->types, (struct object_type){.source = TYPED_NOT}) &&
	       labels_number_all(labelling);
}

struct error *labels_create(struct typing *typing, struct labels **out)
{
	struct labels *labels = calloc(1, sizeof(*labels));
	struct labelling labelling = {.typing = typing, .labels = labels};

	if (!labels)
		return error_no_memory();
	bool made = labels_make(&labelling);
	free(labelling.of_claim);
	hw_map_deinit(&labelling.untyped);
	if (!made) {
		labels_destroy(labels);
		return error_no_memory();
	}
	labels_sum(labels);
	labels->objects = typing->heap->object_count;
	labels->wide = take_pointer(typing->claims);
	if (labels->list.count <= NARROW_MAX)
		labels_narrow(labels);
	*out = labels;
	return NULL;
}

void labels_destroy(struct labels *labels)
{
	if (!labels)
		return;
	pages_free(labels->wide, labels->objects * sizeof(*labels->wide));
	pages_free(labels->narrow, labels->objects * sizeof(*labels->narrow));
	hw_vector_deinit(&labels->list);
	hw_vector_deinit(&labels->types);
	free(labels->near);
	free(labels);
}

uint32_t labels_of(const struct labels *labels, object_id id)
{
	return labels->narrow ? labels->narrow[id] : labels->wide[id];
}

uint32_t labels_claim(const struct labels *labels, object_id id)
{
	return labels->list.items[labels_of(labels, id)].claim;
}

void typing_of(const struct typing *typing, object_id id, struct object_type *out)
{
	*out = typing->labels->types.items[typing_label_of(typing, id)];
}

void typing_statistics(const struct typing *typing, struct typing_statistics *out)
{
	*out = typing->labels->statistics;
}

uint32_t typing_label_of(const struct typing *typing, object_id id)
{
	return id < typing->labels->objects ? labels_of(typing->labels, id) : 0;
}

uint64_t typing_labels_near(const struct typing *typing, object_id first)
{
	return typing->labels->near[first / 64];
}

uint32_t typing_label_count(const struct typing *typing)
{
	return (uint32_t)typing->labels->list.count;
}

const char *typing_label_name(const struct typing *typing, uint32_t label)
{
	return label < typing->labels->list.count ? typing->labels->list.items[label].name : "";
}

enum type_source typing_label_source(const struct typing *typing, uint32_t label)
{
	return label < typing->labels->types.count ? typing->labels->types.items[label].source
						   : TYPED_NOT;
}

const struct label_count *typing_label_live(const struct typing *typing, uint32_t label)
{
	BUG_ON(label >= typing->labels->list.count);
	return &typing->labels->list.items[label].count;
}
