// Claims: what an object is, and when one claim replaces another.
//
// A claim about a whole object needs that the value starts at the object's first byte and that an
// allocation of its size would land in the object's size class, or that a slice's capacity ends
// there. Whatever covers less is a part: it is followed like everything typed, but does not say
// what the object is. (*T may point to the first field of a larger object, or into an array.)
//
// Two whole claims are compared by claim_rank(), a number: the greater one stays, equal ones change
// nothing. Each replacement raises the rank and ranks are bounded, so spreading ends.
#include "goruntime/typing_claims.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "goruntime/typing_private.h"

enum {
	BITS_OBJECT_MAX = 512, // objects up to this size have their pointer bits loaded
	CUT_UNKNOWN = 0,
	CUT_ARRAY,
	CUT_MAYBE_OTHER,
	TINY_MAX = 16, // objects below it without pointers share a slot of this size
		       // (runtime/malloc.go)
};

static size_t claims_bytes(const struct typing *typing)
{
	return ((size_t)typing->heap->object_count + 1) * sizeof(*typing->claims);
}

struct error *claims_create(struct typing *typing)
{
	struct heap *heap = typing->heap;

	typing->claims = pages_alloc(NULL, claims_bytes(typing));
	typing->pending = calloc((size_t)heap->object_count / 64 + 1, sizeof(*typing->pending));
	parts_init(&typing->parts);
	if (!typing->claims || !typing->pending)
		return error_no_memory();
	pages_populate(typing->claims, claims_bytes(typing));
	return NULL;
}

void claims_destroy(struct typing *typing)
{
	span_queue_destroy(typing->queue);
	pages_free(typing->claims, claims_bytes(typing));
	free(typing->pending);
	parts_deinit(&typing->parts);
}

object_id typing_find(const struct typing *typing, remote_addr address, const struct span **span)
{
	const struct span *found = heap_span(typing->heap, address);
	object_id id = found ? heap_find(typing->heap, address) : OBJECT_NONE;

	if (id == OBJECT_NONE || !typing_is_live(typing, id))
		return OBJECT_NONE;
	*span = found;
	return id;
}

const struct go_type *typing_object_type(const struct typing *typing, object_id id)
{
	uint32_t claim = typing->claims[id];

	return claim ? type_by_id(typing->types, claim_type_id(claim)) : NULL;
}

// Names that stand for several types.
bool typing_type_is_vague(const struct typing *typing, const struct go_type *type)
{
	return type == typing->known.some_timer || type == typing->known.plain_chan ||
	       strstr(type->name, "go.shape.");
}

// How many structs lie in each other that begin and end together.
static unsigned type_shells(const struct go_type *type)
{
	unsigned shells = 0;

	while (shells < 15 && type->kind == GO_STRUCT) {
		const struct go_type *inner = NULL;
		for (uint32_t i = 0; i < type->field_count && !inner; i++)
			if (type->fields[i].type->size == type->size)
				inner = type->fields[i].type;
		shells++;
		if (!inner)
			break;
		type = inner;
	}
	return shells;
}

static uint64_t claim_rank(
	const struct typing *typing, const struct go_type *type, uint32_t flags, uint64_t covered)
{
	uint64_t rank = covered;

	// A run of bytes or numbers says less than a struct that fills the same slot.
	if (flags & CLAIM_ARRAY && type->kind != GO_STRUCT && !type->pointer_bytes)
		rank /= 2;
	rank = ((rank * 16 + type_shells(type)) * 2 + type->synthetic) * 2 +
	       !typing_type_is_vague(typing, type);
	return rank + 2;
}

static uint64_t stored_rank(const struct typing *typing, const struct span *span, uint32_t claim)
{
	const struct go_type *type = type_by_id(typing->types, claim_type_id(claim));
	uint64_t room = span->elem_size - span->header_bytes;

	if (claim & CLAIM_ARRAY)
		return claim_rank(typing, type, claim, room / type->size * type->size);
	return claim_rank(typing, type, claim, type->size);
}

static void queue_object(struct typing *typing, const struct span *span, object_id id)
{
	uint64_t *word = &typing->pending[id >> 6];

	// The thread that reads ahead looks at it.
	__atomic_store_n(word, *word | UINT64_C(1) << (id & 63), __ATOMIC_RELAXED);
	if (!span_queue_add(typing->queue, (uint32_t)(span - typing->heap->spans)))
		typing->no_memory = true;
}

// Tiny objects without pointers share slots: different claims about one slot do not contradict each
// other.
static void claim_tiny(struct typing *typing, object_id id, const struct go_type *type, bool array)
{
	uint32_t old = typing->claims[id];
	uint32_t new = claim_make(type, array ? CLAIM_ARRAY : 0);

	if (!old)
		typing->claims[id] = new;
	else if ((old & ~(uint32_t)CLAIM_MIXED) != new)
		typing->claims[id] = old | CLAIM_MIXED;
}

// The runtime's own word for what an object is may be less than what is known elsewhere: a shape stands for all types of
// one layout, and the pieces of maps are made under names that do not tell whose they are.
static bool claim_refines(const struct typing *typing, uint32_t claim, uint32_t firm)
{
	const struct go_type *type = type_by_id(typing->types, claim_type_id(claim));
	const struct go_type *less = type_by_id(typing->types, claim_type_id(firm));

	return !(claim & CLAIM_ARRAY) == !(firm & CLAIM_ARRAY) && type->size == less->size &&
	       type->kind == less->kind && !less->synthetic &&
	       !typing_type_is_vague(typing, type) &&
	       (type->synthetic || typing_type_is_vague(typing, less));
}

static void claim_whole(struct typing *typing, const struct span *span, object_id id,
	const struct go_type *type, uint32_t flags)
{
	uint32_t old = typing->claims[id], new = claim_make(type, flags);

	if (old == new)
		return;
	if (old & CLAIM_FIRM) {
		if (!claim_refines(typing, new, old))
			return;
		new |= CLAIM_FIRM;
	} else if (old && flags & CLAIM_FIRM) {
		if (claim_refines(typing, old, new)) {
			typing->claims[id] |= CLAIM_FIRM;
			return;
		}
	} else if (old && stored_rank(typing, span, new) <= stored_rank(typing, span, old)) {
		return;
	}
	typing->claims[id] = new;
	if (!span->noscan || typing_program(typing, type)->length)
		queue_object(typing, span, id);
}

// Does the collector see pointers exactly where `count` values of `type` from `offset` on have
// them? Checked over the first 64 words that they cover, and beyond their end over what is left of
// the slot when they should fill it.
static bool mask_agrees(struct typing *typing, const struct span *span, object_id id,
	uint64_t offset, const struct go_type *type, uint64_t count)
{
	const uint64_t *mask = type_mask(typing->types, type);
	uint64_t words = type->size / 8;

	if (type->size % 8 || offset % 8)
		return !type->pointer_bytes;
	if (type->pointer_bytes && !mask)
		return false;
	uint64_t first = (span_object(span, id) + offset - span_object(span, id)) / 8;
	uint64_t total = words * count;
	if (total > 64)
		total = 64;
	uint64_t have = heap_pointer_bits(typing->reader, span, id, first), want = 0;
	uint64_t pointer_words = type->pointer_bytes / 8;
	for (uint64_t start = 0; start < total; start += words) {
		for (uint64_t w = 0; w < pointer_words; w += 64) {
			uint64_t part = mask[w / 64];
			if (start + w < 64)
				want |= part << (start + w);
		}
	}
	if (total < 64) {
		have &= (UINT64_C(1) << total) - 1;
		want &= (UINT64_C(1) << total) - 1;
	}
	return have == want;
}

bool span_has_pointer_bits(const struct heap *heap, const struct span *span)
{
	return span->elem_size <= BITS_OBJECT_MAX ||
	       heap->runtime->layout.pointer_bits != POINTER_BITS_HEADER;
}

bool typing_mask_allows(struct typing *typing, const struct span *span, object_id id,
	uint64_t offset, const struct go_type *type, uint64_t count)
{
	return !span_has_pointer_bits(typing->heap, span) ||
	       mask_agrees(typing, span, id, offset + span->header_bytes, type, count);
}

// Nothing but the value in the slot has pointers.
static bool rest_is_clear(
	struct typing *typing, const struct span *span, object_id id, uint64_t bytes)
{
	if (span->noscan || bytes >= span->elem_size || span->elem_size > BITS_OBJECT_MAX)
		return true;
	return !heap_pointer_bits(typing->reader, span, id, (bytes + 7) / 8);
}

// Two parts of the same type at different multiples of its size: the slot is an array of them, if
// that fits.
static bool claim_slab(struct typing *typing, const struct span *span, object_id id,
	uint64_t offset, const struct go_type *type)
{
	uint64_t header = span->header_bytes;
	uint64_t room = span->elem_size - header;
	uint32_t first_type;
	remote_addr first, start = span_object(span, id) + header;

	if (type->size < TINY_MAX || room / type->size < 2 || offset % type->size ||
		typing->claims[id] || !typing_first_part(typing, id, &first, &first_type) ||
		first == start + offset || first_type != type->id || (first - start) % type->size)
		return false;
	uint64_t count = room / type->size;
	if (!span_fits(span, count * type->size) ||
		!rest_is_clear(typing, span, id, count * type->size) ||
		(!span->noscan && !mask_agrees(typing, span, id, header, type, count)))
		return false;
	claim_whole(typing, span, id, type, CLAIM_ARRAY);
	return true;
}

// Does a value of the type begin with an array of `elem`, or of a shape of it? But for arrays of nothing else.
static bool begins_with_array(const struct go_type *type, const struct go_type *elem)
{
	const struct go_type *inner = type;

	while (inner && inner->kind == GO_ARRAY)
		inner = inner->elem;
	if (inner == elem)
		return false;
	for (unsigned depth = 0; depth < TYPE_DEPTH_MAX && type; depth++) {
		uint32_t first = 0;
		if (type->kind == GO_ARRAY) {
			type = type->elem;
			if (type && (type == elem || (type->size == elem->size &&
							     strstr(type->name, "go.shape."))))
				return true;
			continue;
		}
		if (type->kind != GO_STRUCT)
			return false;
		while (first < type->field_count && !type->fields[first].type->size)
			first++;
		type = first < type->field_count ? type->fields[first].type : NULL;
	}
	return false;
}

// Has the program a type other than arrays made for slices that may fill the slot and whose beginning may be sliced to a
// []type? What is allocated is of a type that the executable has a record of.
static bool slot_may_begin_with_array(
	struct typing *typing, const struct span *span, const struct go_type *type)
{
	uint64_t room = span->elem_size - span->header_bytes;
	uint64_t *known = hw_map_at(
		&typing->cut_arrays, (uint64_t)type->id << 40 ^ span->elem_size, CUT_UNKNOWN);

	if (!known) {
		typing->no_memory = true;
		return true;
	}
	for (uint32_t id = 0; *known == CUT_UNKNOWN && id < type_table_count(typing->types); id++) {
		const struct go_type *other = type_by_id(typing->types, id);
		if (other->size >= type->size && other->size <= room &&
			span_fits(span, room / other->size * other->size) &&
			begins_with_array(other, type))
			*known = CUT_MAYBE_OTHER;
	}
	if (*known == CUT_UNKNOWN)
		*known = CUT_ARRAY;
	return *known == CUT_MAYBE_OTHER;
}

// An array of which a slice shows only the beginning, and whose capacity was cut off too: s[:3:3].
static bool claim_cut_array(
	struct typing *typing, const struct span *span, object_id id, const struct go_type *type)
{
	uint64_t header = span->header_bytes;
	uint64_t count = (span->elem_size - header) / type->size;

	if (span->noscan || !type->pointer_bytes || !span_fits(span, count * type->size) ||
		!rest_is_clear(typing, span, id, header + count * type->size) ||
		!mask_agrees(typing, span, id, header, type, count) ||
		slot_may_begin_with_array(typing, span, type))
		return false;
	claim_whole(typing, span, id, type, CLAIM_ARRAY);
	return true;
}

static void claim_outside(
	struct typing *typing, remote_addr address, const struct go_type *type, uint64_t count)
{
	if (go_in_data(typing->heap->runtime, address) && type->pointer_bytes &&
		typing->parts.at.count < PARTS_MAX) {
		typing_add_part(typing, address, type, count, true);
		typing_add_pointee(typing, address, type, count);
	}
}

// Types that stand for a larger one: moves `address` and changes `type` to those of the object that holds the value.
//
// A time.Timer or Ticker from 1.23 on is the head of a runtime.timeTimer (runtime/time.go, newTimer), and the runtime
// keeps pointers to the runtime.timer within; up to 1.22 it keeps pointers into the time.Timer itself, 8 bytes behind
// its start (time/sleep.go). A channel whose elements have no pointers lies in memory without pointers. The heap has
// scases as arrays only (reflect_rselect in runtime/select.go), to whose start selectgo() keeps a pointer.
static void claim_resolve(const struct typing *typing, const struct span *span, remote_addr start,
	remote_addr *address, const struct go_type **type, uint64_t *count)
{
	const struct known_types *known = &typing->known;

	if (*type == known->hchan && span->noscan) {
		*type = known->plain_chan;
	} else if (known->time_timer && (*type == known->timer || *type == known->ticker) &&
		   *address == start) {
		*type = known->time_timer;
	} else if (*type == known->runtime_timer && known->time_timer &&
		   known->time_timer->field_count) {
		const struct go_type *outer = known->time_timer;
		if (*address - start == outer->fields[outer->field_count - 1].offset) {
			*type = outer;
			*address = start;
		}
	} else if (*type == known->runtime_timer && known->some_timer && *address - start == 8) {
		*type = known->some_timer;
		*address = start;
	} else if (*type == known->scase && *address == start) {
		*count = span->elem_size / (*type)->size;
	}
}

void typing_claim_as(struct typing *typing, enum claim_kind kind, remote_addr address,
	const struct go_type *type, uint64_t count)
{
	const struct heap *heap = typing->heap;

	if (!address || !type || !type->size || !count || type == typing->known.bmap)
		return;
	const struct span *span = heap_span(heap, address);
	if (!span) {
		claim_outside(typing, address, type, count);
		return;
	}
	object_id id = heap_find(heap, address);
	if (id == OBJECT_NONE || !typing_is_live(typing, id))
		return;
	uint64_t header = span->header_bytes;
	remote_addr start = span_object(span, id) + header;
	remote_addr end = span_object(span, id) + span->elem_size;
	if (count == 1)
		claim_resolve(typing, span, start, &address, &type, &count);
	bool array = kind == CLAIM_BY_SLICE || kind == CLAIM_BY_STRING || count > 1;
	uint32_t claim = typing->claims[id];
	if (claim && claim_type_id(claim) == type->id && (claim & CLAIM_ARRAY || !array))
		return;

	uint64_t offset = address - start, room = end - address;
	if (claim && offset && !array)
		return; // it can only be a part of what is known already
	if (address < start || type->size > room ||
		(kind == CLAIM_BY_SLICE && count > room / type->size)) {
		typing->counters.rejected_size++;
		return;
	}
	if (count > room / type->size)
		count = room / type->size;
	if (type->pointer_bytes && span->noscan) {
		typing->counters.rejected_noscan++;
		return;
	}
	uint64_t bytes = count * type->size;

	if (kind == CLAIM_BY_HEADER) {
		claim_whole(typing, span, id, type,
			CLAIM_FIRM | (room / type->size > 1 ? CLAIM_ARRAY : 0));
		return;
	}
	if (span->noscan && span->elem_size == TINY_MAX && bytes < TINY_MAX) {
		claim_tiny(typing, id, type, array);
		return;
	}
	if (kind == CLAIM_BY_STRING) {
		if (span->noscan && !claim)
			typing->claims[id] = claim_make(type, CLAIM_ARRAY);
		return;
	}
	bool resolved_later = typing_program(typing, type)->length &&
			      typing_program(typing, type)->operations[0].code == OP_TRIE_NODE;
	if (claim & CLAIM_FIRM && !(offset == 0 && kind == CLAIM_WHOLE)) {
		if (offset == 0)
			claim_whole(typing, span, id, type, array ? CLAIM_ARRAY : 0);
		return; // the header tells all there is
	}
	if (kind == CLAIM_WHOLE && offset)
		return;
	if (!span->noscan && !resolved_later && (kind != CLAIM_WHOLE || type->field_count) &&
		!typing_mask_allows(typing, span, id, offset, type, count)) {
		typing->counters.rejected_mask++;
		return;
	}
	if (kind == CLAIM_WHOLE || (resolved_later && offset == 0)) {
		claim_whole(typing, span, id, type, 0);
	} else if (offset == 0 && span_fits(span, bytes) &&
		   rest_is_clear(typing, span, id, header + bytes)) {
		claim_whole(typing, span, id, type, array ? CLAIM_ARRAY : 0);
	} else if (array && offset % type->size == 0 && span_fits(span, offset + bytes)) {
		claim_whole(typing, span, id, type, CLAIM_ARRAY);
	} else if (!claim && typing->parts.at.count < PARTS_MAX) {
		if (kind == CLAIM_BY_SLICE && !offset && claim_cut_array(typing, span, id, type))
			return;
		if (claim_slab(typing, span, id, offset, type))
			return;
		typing_set_first_part(typing, id, address);
		typing_add_part(typing, address, type, count, false);
	}
}

void typing_claim(
	struct typing *typing, remote_addr address, const struct go_type *type, uint64_t count)
{
	typing_claim_as(typing, CLAIM_BY_POINTER, address, type, count);
}

void typing_claim_memory(
	struct typing *typing, remote_addr address, const struct go_type *type, uint64_t count)
{
	if (type && type->size && type->pointer_bytes && count)
		typing_add_part(typing, address, type, count, true);
}

void typing_claim_closure(struct typing *typing, remote_addr address)
{
	const struct span *span;
	object_id id = typing_find(typing, address, &span);

	// What it captures is known once its code has been read.
	if (id != OBJECT_NONE && !typing->claims[id] && span_object(span, id) == address)
		claim_whole(typing, span, id, typing->known.closure, 0);
}

void typing_set_captures(
	struct typing *typing, remote_addr code, const struct go_type *captures, bool better)
{
	uint64_t *place = hw_map_at(&typing->captures, code, (uintptr_t)captures);

	if (!place || !hw_map_put(&typing->capture_types, captures->id, 1))
		typing->no_memory = true;
	else if (better)
		*place = (uintptr_t)captures;
}

const struct go_type *typing_captures(const struct typing *typing, remote_addr code)
{
	uint64_t found;

	return hw_map_get(&typing->captures, code, &found)
		       ? (const struct go_type *)(uintptr_t)found
		       : NULL;
}

void *typing_alloc(struct typing *typing, size_t bytes)
{
	void *memory = hw_arena_zalloc(&typing->arena, bytes);

	if (!memory)
		typing->no_memory = true;
	return memory;
}

struct heap *typing_heap(struct typing *typing)
{
	return typing->heap;
}
