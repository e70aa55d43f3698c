// What is certain without debug information: the places where the runtime itself wrote a type down.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "goruntime/typing_private.h"

enum { BITS_OBJECT_MAX = 512, GOROUTINES_MAX = 1 << 24, HEADER_BYTES = 8 };

// ---- malloc headers (runtime/mbitmap.go, 1.22 on): the type of each object above 512 bytes with
// pointers

void typing_claim_headers(struct typing *typing)
{
	const struct heap *heap = typing->heap;

	if (heap->runtime->layout.pointer_bits != POINTER_BITS_HEADER)
		return;
	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];
		if (!span->count || span->noscan || span->elem_size <= BITS_OBJECT_MAX)
			continue;
		for (object_id id = span->first; id < span->first + span->count; id++) {
			remote_addr object = span_object(span, id), type = span->large_type;
			if (!typing_is_live(typing, id))
				continue;
			if (span->size_class)
				type = memory_u64(&typing->memory, object);
			typing_claim_as(typing, CLAIM_BY_HEADER, object + span->header_bytes,
				type_by_address(typing->types, type), 1);
		}
	}
}

// ---- goroutines, and the finalizers, cleanups and weak handles that hang on spans

void typing_claim_runtime(struct typing *typing)
{
	const struct go_runtime *runtime = typing->heap->runtime;
	const struct go_type *g = type_by_name(typing->types, "runtime.g");
	remote_addr list = runtime->allgs ? memory_u64(&typing->memory, runtime->allgs) : 0;
	uint64_t count = runtime->allgs ? memory_u64(&typing->memory, runtime->allgs + 8) : 0;

	for (uint64_t i = 0; g && i < count && i < GOROUTINES_MAX; i++)
		typing_claim(typing, memory_u64(&typing->memory, list + 8 * i), g, 1);
}

// The object of a finalizer that is ready to run: `slot` is finalizer.arg, and finalizer.ot its type (runtime/mfinal.go:
// fn, arg, nret, fint, ot). At the other root of the same record, fn, there is an address where nret should be.
static void claim_queued(struct typing *typing, const struct root *root)
{
	const struct layout_offsets *at = &typing->heap->runtime->layout.at;
	remote_addr finalizer = root->slot - at->finalizer_arg;

	if (!root->slot || memory_u64(&typing->memory, root->slot + 8) >= GO_PAGE_SIZE ||
		!type_by_address(
			typing->types, memory_u64(&typing->memory, finalizer + at->finalizer_fint)))
		return;
	const struct go_type *pointer = type_by_address(
		typing->types, memory_u64(&typing->memory, finalizer + at->finalizer_ot));
	if (pointer && pointer->kind == GO_POINTER)
		typing_claim(typing, root->value, pointer->elem, 1);
}

// What runtime.AddCleanup[T, S] does with an argument of type S is told by its closures (runtime/mcleanup.go) and the
// dictionary that they capture (cmd/compile/internal/noder/reader.go): a table of types, among other things.
static bool is_made_by_add_cleanup(struct typing *typing, remote_addr closure)
{
	const struct go_module *module;
	struct pcln_function function;
	remote_addr code = closure ? memory_u64(&typing->memory, closure) : 0;

	return go_find_function(typing->heap->runtime, code, &module, &function) &&
	       function.entry == code && !strncmp(function.name, "runtime.AddCleanup[", 19);
}

static const struct go_type *dictionary_type(
	struct typing *typing, remote_addr dictionary, unsigned index)
{
	return type_by_address(
		typing->types, memory_u64(&typing->memory, dictionary + 8 * (uint64_t)index));
}

// 1.24 and 1.25: the closure holds its code, the cleanup, &arg, the dictionary of AddCleanup. In that func(S) and S follow
// one another, and *S comes later.
static void claim_cleanup_closure(struct typing *typing, remote_addr closure)
{
	enum { WORDS = 8, BEHIND = 3 };

	if (!is_made_by_add_cleanup(typing, closure))
		return;
	remote_addr dictionary = memory_u64(&typing->memory, closure + 24);
	for (unsigned i = 0; i < WORDS; i++) {
		const struct go_type *type = dictionary_type(typing, dictionary, i);
		if (!type || type->kind != GO_FUNC)
			continue;
		type = dictionary_type(typing, dictionary, i + 1);
		for (unsigned later = 0; type && later < BEHIND; later++) {
			const struct go_type *pointer =
				dictionary_type(typing, dictionary, i + 2 + later);
			if (pointer && pointer->kind == GO_POINTER && pointer->elem == type)
				typing_claim(
					typing, memory_u64(&typing->memory, closure + 16), type, 1);
		}
		return;
	}
}

// 1.26 on: a closure with the dictionary of callCleanup[S] calls the cleanup. That begins with func(S), *func(S), *S.
static const struct go_type *cleanup_argument(struct typing *typing, remote_addr call)
{
	const struct go_type *types[3];

	if (!is_made_by_add_cleanup(typing, call))
		return NULL;
	remote_addr dictionary = memory_u64(&typing->memory, call + 8);
	for (unsigned i = 0; i < 3; i++) {
		types[i] = dictionary_type(typing, dictionary, i);
		if (!types[i] || types[i]->kind != (i ? GO_POINTER : GO_FUNC))
			return NULL;
	}
	return types[1]->elem == types[0] ? types[2]->elem : NULL;
}

// runtime/mcleanup.go, cleanupFn: call, fn, arg (1.26 on)
static void claim_cleanup(struct typing *typing, remote_addr cleanup)
{
	const struct go_type *type = cleanup_argument(typing, memory_u64(&typing->memory, cleanup));
	remote_addr argument = memory_u64(&typing->memory, cleanup + 16);

	if (type && !type->size) // what is small lies in a [2]uintptr
		typing_claim(typing, argument, type_by_name(typing->types, "uintptr"), 2);
	else if (type)
		typing_claim(typing, argument, type, 1);
}

// Finalizers and cleanups are functions: whichever of these roots is a closure object shows it by its first word.
void typing_claim_root_closures(struct typing *typing)
{
	const struct roots *roots = typing->roots;
	bool has_cleanups = typing->heap->runtime->layout.at.cleanupFn_size > 0;

	for (size_t i = 0; roots && i < roots->list.count; i++) {
		const struct root *root = &roots->list.items[i];
		bool queued = root->kind == ROOT_QUEUED, cleanup = root->kind == ROOT_CLEANUP;
		// The argument first: else it would be taken for a closure until that is read.
		if (has_cleanups && root->slot && (queued || cleanup))
			claim_cleanup(typing, root->slot - 16); // if this is the argument
		else if (queued || cleanup)
			claim_cleanup_closure(typing, root->value);
		if (queued || cleanup || root->kind == ROOT_FINALIZER)
			typing_claim_closure(typing, root->value);
		if (queued)
			claim_queued(typing, root);
	}
}

// What waits for its finalizer keeps alive what it points to, also when nobody keeps itself.
static void claim_finalized(struct typing *typing, remote_addr address, const struct go_type *type)
{
	const struct heap *heap = typing->heap;
	object_id id = heap_find(heap, address);

	if (id == OBJECT_NONE)
		return;
	if (typing_is_live(typing, id))
		typing_claim(typing, address, type, 1);
	else if (type->size <= heap_span(heap, address)->elem_size)
		typing_claim_memory(typing, address, type, 1);
}

// runtime/mheap.go, special and the structs that begin with it
static remote_addr claim_special(
	struct typing *typing, const struct span *span, remote_addr special)
{
	const struct layout *layout = &typing->heap->runtime->layout;
	const struct layout_offsets *at = &layout->at;
	struct memory *memory = &typing->memory;
	uint8_t kind = memory_u8(memory, special + at->special_kind);
	// The offset is a uint16 up to 1.23 (its kind follows right behind), a uintptr from 1.24
	// on.
	uint64_t offset = at->special_kind - at->special_offset == 2
				  ? memory_u16(memory, special + at->special_offset)
				  : memory_u64(memory, special + at->special_offset);

	if (kind == layout->special_finalizer) {
		const struct go_type *pointer = type_by_address(
			typing->types, memory_u64(memory, special + at->specialfinalizer_ot));
		if (pointer && pointer->kind == GO_POINTER && pointer->elem)
			claim_finalized(typing, span->base + offset, pointer->elem);
		typing_claim_closure(typing, memory_u64(memory, special + at->specialfinalizer_fn));
	} else if (kind == layout->special_cleanup && at->specialCleanup_fn >= 0) {
		typing_claim_closure(typing, memory_u64(memory, special + at->specialCleanup_fn));
	} else if (kind == layout->special_weak && at->specialWeakHandle_handle >= 0) {
		typing_claim(typing, memory_u64(memory, special + at->specialWeakHandle_handle),
			typing->known.weak_handle, 1);
	}
	return memory_u64(memory, special + at->special_next);
}

void typing_claim_specials(struct typing *typing)
{
	for (uint32_t i = 0; i < typing->heap->span_count; i++) {
		const struct span *span = &typing->heap->spans[i];
		// Each object has at most one special of a kind, but for cleanups; a circle must
		// end.
		uint64_t left = 64 + 16 * (uint64_t)span->count;
		for (remote_addr special = span->specials; special && left > 0; left--)
			special = claim_special(typing, span, special);
	}
}

// ---- interfaces in memory of unknown type: the collector does not follow an interface's first
// word, so an interface shows as a word that is no pointer and is a type or an itab, before a word
// that is one

static void claim_pair(struct typing *typing, uint64_t first, uint64_t second)
{
	if (first < 4096 || first & 7 || !second || heap_span(typing->heap, first))
		return;
	const struct go_type *type = type_of_itab(typing->types, first);
	if (type)
		typing_follow_interface(typing, type, second);
}

static bool pairs_visit(void *context, const struct word_group *group)
{
	uint64_t seconds = group->pointers & ~(group->pointers << 1) & ~UINT64_C(1);

	for (; seconds; seconds &= seconds - 1) {
		unsigned i = __builtin_ctzll(seconds);
		claim_pair(context, group->words[i - 1], group->words[i]);
	}
	return true;
}

static bool mask_bit(struct typing *typing, remote_addr mask, uint64_t bits, uint64_t word)
{
	return word < bits && memory_u8(&typing->memory, mask + word / 8) >> (word % 8) & 1;
}

// Is the word at `slot` of a module's data one that the collector follows?
static bool global_is_pointer(struct typing *typing, remote_addr slot)
{
	const struct go_runtime *runtime = typing->heap->runtime;

	for (unsigned i = 0; i < runtime->module_count; i++) {
		const struct go_module *module = &runtime->modules[i];
		if (slot >= module->data && slot < module->edata)
			return mask_bit(typing, module->data_mask, module->data_mask_bits,
				(slot - module->data) / 8);
		if (slot >= module->bss && slot < module->ebss)
			return mask_bit(typing, module->bss_mask, module->bss_mask_bits,
				(slot - module->bss) / 8);
	}
	return true;
}

static void claim_root_pairs(struct typing *typing)
{
	const struct roots *roots = typing->roots;

	for (size_t i = 0; roots && i < roots->list.count; i++) {
		const struct root *root = &roots->list.items[i];
		if (!root->slot || !root->precise)
			continue;
		if (root->kind == ROOT_STACK ||
			(root->kind == ROOT_GLOBAL && !global_is_pointer(typing, root->slot - 8)))
			claim_pair(
				typing, memory_u64(&typing->memory, root->slot - 8), root->value);
	}
}

static uint64_t *untyped_objects(const struct typing *typing)
{
	object_id count = typing->heap->object_count;
	uint64_t *untyped = calloc((size_t)count / 64 + 2, sizeof(*untyped));

	for (uint64_t first = 0; untyped && first < count; first += 64)
		untyped[first / 64] = typing_untyped(typing, (object_id)first);
	return untyped;
}

// With a reader of its own: claims look at pointer bits through the other one, which moves its window.
static void scan_untyped(struct typing *typing, word_group_visit visit)
{
	uint64_t *untyped = untyped_objects(typing);
	struct heap_reader *reader = NULL;
	struct error *err = heap_reader_create(typing->heap, &reader);

	for (uint32_t i = 0; untyped && !err && i < typing->heap->span_count; i++)
		heap_scan_span(reader, &typing->heap->spans[i], untyped, visit, typing);
	if (!untyped || err)
		typing->no_memory = true;
	error_destroy(err);
	heap_reader_destroy(reader);
	free(untyped);
}

void typing_claim_interfaces(struct typing *typing)
{
	claim_root_pairs(typing);
	scan_untyped(typing, pairs_visit);
}

// ---- channels and closures among the untyped, told by their first words

static bool looks_like_channel(struct typing *typing, const uint8_t *hchan)
{
	const struct layout_offsets *at = &typing->heap->runtime->layout.at;
	uint64_t count, capacity, elem_word;
	uint16_t elem_size;
	uint32_t closed;

	memcpy(&count, hchan + at->hchan_qcount, 8);
	memcpy(&capacity, hchan + at->hchan_dataqsiz, 8);
	memcpy(&elem_word, hchan + at->hchan_elemtype, 8);
	memcpy(&elem_size, hchan + at->hchan_elemsize, 2);
	memcpy(&closed, hchan + at->hchan_closed, 4);
	if (!elem_word || count > capacity || closed > 1 || heap_span(typing->heap, elem_word))
		return false;
	const struct go_type *elem = type_by_address(typing->types, elem_word);
	return elem && elem->size == elem_size;
}

static void claim_channels(struct typing *typing)
{
	const struct heap *heap = typing->heap;
	uint64_t size = heap->runtime->layout.at.hchan_size;
	uint8_t hchan[256];

	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];
		if (!span->count || size > sizeof(hchan) || !span_fits(span, size))
			continue;
		for (object_id id = span->first; id < span->first + span->count; id++) {
			remote_addr object = span_object(span, id);
			if (typing->claims[id] || !typing_is_live(typing, id) ||
				!memory_read(&typing->memory, object, hchan, size))
				continue;
			if (looks_like_channel(typing, hchan))
				typing_follow_chan(typing, hchan, object);
		}
	}
}

static bool closures_visit(void *context, const struct word_group *group)
{
	struct typing *typing = context;
	uint64_t captures;

	if (group->offset == 0 && !(group->pointers & 1) && !typing->claims[group->object] &&
		hw_map_get(&typing->captures, group->words[0], &captures))
		typing_claim_closure(typing, heap_address(typing->heap, group->object));
	return true;
}

void typing_claim_words(struct typing *typing)
{
	claim_channels(typing);
	scan_untyped(typing, closures_visit);
}
