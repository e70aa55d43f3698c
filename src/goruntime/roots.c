// The roots that are not on stacks.
//
// Every root job of the collector, from gcMarkRootPrepare (gcPrepareMarkRoots from 1.26 on) and
// markroot in runtime/mgcmark.go of go 1.19 and 1.21 to 1.27, and where it is treated:
//
// - baseData, baseBSS: data and bss of all modules by gcdatamask and gcbssmask. globals_collect.
// - fixedRootFinalizers: finalizers that are ready to run, in allfin's blocks; in 1.24 cleanups as
//   well, as entries of which only fn is set. finalizer_queue_collect.
// - fixedRootFreeGStacks: marks nothing, gives the stacks of dead goroutines back.
// - fixedRootCleanups (1.25 on): cleanups that are ready to run. cleanup_queue_collect.
// - baseSpans: markrootSpans walks the specials of all spans in use. specials_collect.
//   - finalizer: what the object points to, but not the object; specialfinalizer.fn.
//   - weak handle (1.23 on): specialWeakHandle.handle, 8 bytes; not what it refers to.
//   - cleanup (1.24 on): specialCleanup.fn, from 1.26 on the three words of its cleanupFn.
//   - all other kinds have no pointers into the heap: profile, reachable, pin counter, tiny block,
//     check finalizer, bubble, secret.
// - baseStacks: goroutines_roots (goroutine.h).
//
// Marked without being a root job:
//
// - gcMarkTinyAllocs: each P's current block for tiny objects when a collection starts, whoever
//   uses it. The caches are emptied at its end, so later nothing tells these blocks from others;
//   agreement.c knows of them.
// - gcmarknewobject: what is allocated while a collection marks. heap.c, struct heap.fresh.
// - Write barriers: what pointers were overwritten while marking floats until the next collection.
//
// Reached from data and bss like anything else: Ps (allp), Ms (allm), goroutines (allgs), timers
// (in a slice of their P), sudogs, sync.Pool (allPools; a collection's start empties the older
// half), the unique package's maps (they hold weak pointers), runtime.Pinner (an object with a
// finalizer, so what it pins stays). Itabs, profile buckets, pin counters, and handles of weak
// pointers to globals (immortalWeakHandles, 1.25 on) lie outside the heap and are not followed by
// the collector.
#include "goruntime/roots.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "goruntime/bits.h"
#include "goruntime/goroutine.h"
#include "goruntime/runtime_private.h"
#include "goruntime/specials.h"

enum {
	CHUNK_BYTES = 1 << 18,
	CHUNK_WORDS = CHUNK_BYTES / 8,
	FINALIZERS_MAX = 101,      // runtime/mfinal.go: finblock is 4 KiB long
	CLEANUPS_BYTES_MAX = 4096, // runtime/mcleanup.go: so is cleanupBlock
};

bool roots_add(struct roots *roots, const struct heap *heap, const struct root *root)
{
	if (roots->of_data ? !go_in_data(heap->runtime, root->value)
			   : heap_find(heap, root->value) == OBJECT_NONE)
		return true;
	return hw_vector_push(&roots->list, *root);
}

void roots_deinit(struct roots *roots)
{
	hw_vector_deinit(&roots->list);
}

// One piece of data or bss and the bits that tell its pointers.
struct chunk {
	uint64_t words[CHUNK_WORDS], bits[CHUNK_WORDS / 64];
};

static bool chunk_add(struct heap *heap, const struct chunk *chunk, remote_addr start,
	uint64_t count, uint32_t module, struct roots *out)
{
	for (uint64_t word = 0; word < count; word += 64) {
		uint64_t pointers = chunk->bits[word / 64] & bits_low(count - word);

		for (; pointers; pointers &= pointers - 1) {
			uint64_t i = word + (uint64_t)__builtin_ctzll(pointers);
			struct root root = {
				.kind = ROOT_GLOBAL,
				.precise = true,
				.owner = module,
				.slot = start + i * 8,
				.value = chunk->words[i],
			};

			if (root.value && !roots_add(out, heap, &root))
				return false;
		}
	}
	return true;
}

static bool bits_are_zero(const uint64_t *bits, uint64_t count)
{
	for (uint64_t i = 0; i < bits_words(count); i++) {
		if (bits[i])
			return false;
	}
	return true;
}

// The pointers among `count` words from `start` on, by the mask at `mask`.
static struct error *section_collect(struct heap *heap, remote_addr start, remote_addr mask,
	uint64_t count, uint32_t module, struct roots *out)
{
	struct target *target = heap->runtime->target;
	_cleanup_free_ struct chunk *chunk = malloc(sizeof(*chunk));

	if (!chunk)
		return error_no_memory();
	for (uint64_t done = 0; done < count; done += CHUNK_WORDS) {
		uint64_t words = count - done < CHUNK_WORDS ? count - done : CHUNK_WORDS;

		chunk->bits[(words - 1) / 64] = 0;
		if (target_read_sparse(target, mask + done / 8, chunk->bits, (words + 7) / 8))
			return error_create(ERROR_TARGET,
				"the pointer mask of module %u is not in memory", module);
		if (bits_are_zero(chunk->bits, words))
			continue;
		target_read_sparse(target, start + done * 8, chunk->words, words * 8);
		if (!chunk_add(heap, chunk, start + done * 8, words, module, out))
			return error_no_memory();
	}
	return NULL;
}

static struct error *globals_collect(struct heap *heap, struct roots *out)
{
	struct error *err = NULL;

	for (uint32_t i = 0; !err && i < heap->runtime->module_count; i++) {
		const struct go_module *module = &heap->runtime->modules[i];

		err = section_collect(
			heap, module->data, module->data_mask, module->data_mask_bits, i, out);
		if (!err)
			err = section_collect(
				heap, module->bss, module->bss_mask, module->bss_mask_bits, i, out);
	}
	return err;
}

static bool word_add(
	struct heap *heap, enum root_kind kind, uint32_t owner, remote_addr slot, struct roots *out)
{
	struct root root = {
		.kind = kind,
		.precise = true,
		.owner = owner,
		.slot = slot,
		.value = memory_u64(&heap->runtime->memory, slot),
	};

	return roots_add(out, heap, &root);
}

static struct error *finalizer_queue_collect(struct heap *heap, struct roots *out)
{
	const struct layout_offsets *at = &heap->runtime->layout.at;
	const int32_t fields[] = {
		at->finalizer_fn, at->finalizer_arg, at->finalizer_fint, at->finalizer_ot};
	struct memory *memory = &heap->runtime->memory;
	uint64_t faults = memory->faults;
	struct list_guard guard = {0};

	if (!heap->runtime->allfin)
		return NULL;
	remote_addr block = memory_u64(memory, heap->runtime->allfin);
	while (block && list_guard_step(&guard, block) && memory->faults == faults) {
		uint32_t count = memory_u32(memory, block + (uint32_t)at->finblock_cnt);

		for (uint32_t i = 0; i < count && i < FINALIZERS_MAX; i++) {
			remote_addr entry = block + (uint32_t)at->finblock_fin +
					    i * (uint32_t)at->finalizer_size;

			for (unsigned field = 0; field < ARRAY_COUNT(fields); field++) {
				if (!word_add(heap, ROOT_QUEUED, 0, entry + (uint32_t)fields[field],
					    out))
					return error_no_memory();
			}
		}
		block = memory_u64(memory, block + (uint32_t)at->finblock_alllink);
	}
	return NULL;
}

// Bytes of a cleanup in a queue or special: all of its words are pointers. A funcval up to 1.25, a
// cleanupFn from 1.26 on.
static uint32_t cleanup_bytes(const struct layout_offsets *at)
{
	return at->cleanupFn_size > 0 ? (uint32_t)at->cleanupFn_size : 8;
}

static struct error *cleanup_queue_collect(struct heap *heap, struct roots *out)
{
	const struct layout_offsets *at = &heap->runtime->layout.at;
	struct memory *memory = &heap->runtime->memory;
	uint64_t faults = memory->faults;
	struct list_guard guard = {0};

	if (!heap->runtime->gc_cleanups)
		return NULL;
	remote_addr block =
		memory_u64(memory, heap->runtime->gc_cleanups + (uint32_t)at->cleanupQueue_all);
	while (block && list_guard_step(&guard, block) && memory->faults == faults) {
		uint64_t bytes =
			(uint64_t)memory_u32(memory, block + (uint32_t)at->cleanupBlock_n) *
			cleanup_bytes(at);

		for (uint64_t offset = 0; offset < bytes && offset < CLEANUPS_BYTES_MAX;
			offset += 8) {
			remote_addr slot = block + (uint32_t)at->cleanupBlock_cleanups + offset;

			if (!word_add(heap, ROOT_QUEUED, 0, slot, out))
				return error_no_memory();
		}
		block = memory_u64(memory, block + (uint32_t)at->cleanupBlock_alllink);
	}
	return NULL;
}

struct specials_walker {
	struct heap *heap;
	struct heap_reader *reader;
	struct roots *out;
};

static bool finalized_object_visit(void *context, const struct word_group *group)
{
	struct specials_walker *walker = context;
	remote_addr object = heap_address(walker->heap, group->object);

	for (uint64_t pointers = group->pointers; pointers; pointers &= pointers - 1) {
		unsigned i = (unsigned)__builtin_ctzll(pointers);
		struct root root = {
			.kind = ROOT_FINALIZER,
			.precise = true,
			.owner = group->object,
			.slot = object + group->offset + i * 8,
			.value = group->words[i],
		};

		if (!roots_add(walker->out, walker->heap, &root))
			return false;
	}
	return true;
}

static bool cleanup_add(struct specials_walker *walker, const struct special *special)
{
	const struct layout_offsets *at = &walker->heap->runtime->layout.at;

	if (at->specialCleanup_cleanup < 0)
		return word_add(walker->heap, ROOT_CLEANUP, special->object,
			special->address + (uint32_t)at->specialCleanup_fn, walker->out);
	for (uint32_t offset = 0; offset < cleanup_bytes(at); offset += 8) {
		if (!word_add(walker->heap, ROOT_CLEANUP, special->object,
			    special->address + (uint32_t)at->specialCleanup_cleanup + offset,
			    walker->out))
			return false;
	}
	return true;
}

static bool special_add(void *context, const struct special *special)
{
	struct specials_walker *walker = context;
	const struct layout *layout = &walker->heap->runtime->layout;

	if (special->kind == layout->special_finalizer)
		return heap_scan_object(
			       walker->reader, special->object, finalized_object_visit, walker) &&
		       word_add(walker->heap, ROOT_FINALIZER, special->object,
			       special->address + (uint32_t)layout->at.specialfinalizer_fn,
			       walker->out);
	if (special->kind == layout->special_weak)
		return word_add(walker->heap, ROOT_WEAK, special->object,
			special->address + (uint32_t)layout->at.specialWeakHandle_handle,
			walker->out);
	if (special->kind == layout->special_cleanup)
		return cleanup_add(walker, special);
	return true;
}

static struct error *specials_collect(struct heap *heap, struct roots *out)
{
	struct specials_walker walker = {.heap = heap, .out = out};
	struct error *err = heap_reader_create(heap, &walker.reader);
	bool good = true;

	if (err)
		return err;
	for (uint32_t i = 0; good && i < heap->span_count; i++) {
		if (heap->spans[i].count && heap->spans[i].specials)
			good = specials_walk(heap, &heap->spans[i], special_add, &walker);
	}
	heap_reader_destroy(walker.reader);
	return good ? NULL : error_no_memory();
}

struct error *roots_collect_static(struct heap *heap, struct roots *out)
{
	struct error *err = globals_collect(heap, out);

	if (!err)
		err = finalizer_queue_collect(heap, out);
	if (!err)
		err = cleanup_queue_collect(heap, out);
	if (!err)
		err = specials_collect(heap, out);
	return err;
}

struct error *roots_collect(
	struct heap *heap, const struct goroutine_list *goroutines, struct roots *out)
{
	struct error *err = roots_collect_static(heap, out);

	return err ? err : goroutines_roots(heap, goroutines, out);
}
