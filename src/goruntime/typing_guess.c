// The last step: what an object without a type probably is.
//
// A size class and the words that are pointers fit few types, and often a single one of those that
// the program has. Such a claim is a guess, is counted apart, and nothing is concluded from it: it
// does not spread, and no rule believes it.
#include "base/error.h"
#include "goruntime/runtime_private.h"
#include "goruntime/typing_private.h"

// Objects that look alike, and the types that look like them.
struct likeness {
	uint64_t mask; // of the whole slot
	uint64_t elem_size;
	const struct go_type *type; // the first candidate
	bool array, ambiguous;
};

struct guessing {
	struct typing *typing;
	HW_VECTOR(struct likeness) list;
	struct hw_map by_key; // -> index in list
};

static uint64_t likeness_key(uint64_t mask, uint64_t elem_size)
{
	return mask * UINT64_C(0x9e3779b97f4a7c15) ^ elem_size;
}

static struct likeness *likeness_find(struct guessing *guessing, uint64_t mask, uint64_t elem_size)
{
	uint64_t index;

	if (!hw_map_get(&guessing->by_key, likeness_key(mask, elem_size), &index))
		return NULL;
	struct likeness *found = &guessing->list.items[index];
	return found->mask == mask && found->elem_size == elem_size ? found : NULL;
}

static void likeness_note(struct guessing *guessing, uint64_t mask, uint64_t elem_size)
{
	uint64_t *index =
		hw_map_at(&guessing->by_key, likeness_key(mask, elem_size), guessing->list.count);

	if (!index || (*index == guessing->list.count &&
			      !hw_vector_push(&guessing->list,
				      ((struct likeness){.mask = mask, .elem_size = elem_size}))))
		guessing->typing->no_memory = true;
}

typedef void (*untyped_visit)(
	struct guessing *guessing, const struct span *span, object_id id, uint64_t mask);

static void untyped_each(struct guessing *guessing, untyped_visit visit)
{
	struct typing *typing = guessing->typing;
	const struct heap *heap = typing->heap;
	const struct span *span = NULL;

	for (uint64_t first = 0; first < heap->object_count; first += 64) {
		uint64_t bits = typing_untyped(typing, (object_id)first);

		for (; bits; bits &= bits - 1) {
			object_id id = (object_id)first + (object_id)__builtin_ctzll(bits);
			span = heap_span_near(heap, span, id);
			if (span->noscan || span->elem_size > HEAP_BITS_OBJECT_MAX)
				continue;
			uint64_t mask = heap_pointer_bits(typing->reader, span, id, 0);
			if (mask)
				visit(guessing, span, id, mask);
		}
	}
}

static void untyped_note(
	struct guessing *guessing, const struct span *span, object_id id, uint64_t mask)
{
	likeness_note(guessing, mask, span->elem_size);
}

static void untyped_claim(
	struct guessing *guessing, const struct span *span, object_id id, uint64_t mask)
{
	const struct likeness *found = likeness_find(guessing, mask, span->elem_size);

	if (found && found->type && !found->ambiguous)
		guessing->typing->claims[id] =
			claim_make(found->type, CLAIM_GUESS | (found->array ? CLAIM_ARRAY : 0));
}

// One value of the type, or an array of `count`, may be what some objects are.
static void candidate_consider(
	struct guessing *guessing, const struct go_type *type, uint64_t count, uint64_t mask)
{
	uint64_t elem_size = slot_bytes(guessing->typing->heap, count * type->size, false);
	struct likeness *found = likeness_find(guessing, mask, elem_size);

	if (!found)
		return;
	if (found->type && found->type != type)
		found->ambiguous = true;
	if (!found->type)
		found->array = count > 1;
	found->type = type;
}

static void type_consider(struct guessing *guessing, const struct go_type *type)
{
	uint64_t words = type->size / 8, mask = 0;

	if (!type->pointer_bytes || type->size % 8 || type->size > HEAP_BITS_OBJECT_MAX ||
		type->synthetic)
		return;
	const uint64_t *one = type_mask(guessing->typing->types, type);
	if (!one)
		return;
	for (uint64_t count = 1; count * type->size <= HEAP_BITS_OBJECT_MAX; count++) {
		mask |= *one << ((count - 1) * words);
		candidate_consider(guessing, type, count, mask);
	}
}

struct error *typing_guess(struct typing *typing)
{
	struct guessing guessing = {.typing = typing};

	hw_map_init(&guessing.by_key);
	untyped_each(&guessing, untyped_note);
	if (guessing.list.count) {
		for (uint32_t id = 0; id < type_table_count(typing->types); id++)
			type_consider(&guessing, type_by_id(typing->types, id));
		untyped_each(&guessing, untyped_claim);
	}
	hw_map_deinit(&guessing.by_key);
	hw_vector_deinit(&guessing.list);
	return typing->no_memory ? error_no_memory() : NULL;
}
