// gcController is found by its structure, so that it needs neither symbols nor a table: six words that
// follow each other in all versions from 1.19 to 1.27 (runtime/mgcpacer.go, gcControllerState),
//
//	heapInUse, heapReleased, heapFree, totalAlloc, totalFree, mappedReady
//
// of which the first is what the spans in use add up to. The heap grows by 4 MiB at a time
// (mheap.grow), so the first three and the spans managed by hand add up to a multiple of that.
#include "goruntime/runtime_memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "goruntime/runtime_private.h"

enum {
	SCAN_BYTES = 1 << 20,
	HEAP_GROWTH = 4 << 20,
	CONTROLLER_WORDS = 6,
	IN_USE_DIFFERENCE_MAX = 4 << 20, // spans that changed hands during the capture
	// runtime/mpagealloc.go, mpagealloc_64bit.go, mpallocbits.go
	SUMMARY_LEVELS = 5,
	SUMMARY_L0_BITS = 14,
	SUMMARY_LEVEL_BITS = 3,
	CHUNK_TABLES = 1 << 13,
	CHUNK_TABLE_BYTES = 1 << 20, // 8192 pallocData of 128 bytes
};

static uint64_t manual_bytes(const struct heap *heap)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < heap->span_count; i++)
		if (heap->spans[i].state == SPAN_MANUAL)
			bytes += (uint64_t)heap->spans[i].pages << GO_PAGE_SHIFT;
	return bytes;
}

// How far the words are from being heapInUse and so on; UINT64_MAX when they cannot be.
static uint64_t controller_distance(const struct heap *heap, uint64_t manual, const uint64_t *words)
{
	uint64_t in_use = words[0], released = words[1], unused = words[2];
	uint64_t allocated = words[3] - words[4];
	uint64_t distance = in_use > heap->in_use_bytes ? in_use - heap->in_use_bytes
							: heap->in_use_bytes - in_use;

	if (distance > IN_USE_DIFFERENCE_MAX || (in_use | released | unused) % GO_PAGE_SIZE ||
		words[3] < words[4] || allocated > in_use ||
		(released | unused) >> INDEX_ADDRESS_BITS || words[5] < in_use + unused)
		return UINT64_MAX;
	return distance + (in_use + released + unused + manual) % HEAP_GROWTH;
}

static void controller_find(const struct heap *heap, struct runtime_counters *out)
{
	const struct go_module *module = &heap->runtime->modules[0];
	uint64_t manual = manual_bytes(heap), best = IN_USE_DIFFERENCE_MAX;
	_cleanup_free_ uint64_t *words = malloc(SCAN_BYTES);
	enum { NEEDED = CONTROLLER_WORDS * 8 };

	for (remote_addr at = module->variables & ~(remote_addr)7;
		words && at + NEEDED <= module->end; at += SCAN_BYTES - NEEDED + 8) {
		size_t size = module->end - at < SCAN_BYTES ? module->end - at : SCAN_BYTES;
		target_read_sparse(heap->runtime->target, at, words, size);
		for (size_t i = 0; i * 8 + NEEDED <= size; i++) {
			uint64_t distance = controller_distance(heap, manual, words + i);
			if (distance >= best)
				continue;
			best = distance;
			out->heap_known = true;
			out->in_use = words[i];
			out->released = words[i + 1];
			out->idle = words[i + 1] + words[i + 2];
		}
	}
}

void runtime_counters_read(const struct heap *heap, struct runtime_counters *out)
{
	const struct layout_offsets *at = &heap->runtime->layout.at;
	struct memory *memory = &heap->runtime->memory;
	remote_addr memstats = heap->runtime->memstats;
	struct runtime_counters counters = {0};

	controller_find(heap, &counters);
	if (memstats && at->mstats_mspan_sys >= 0) {
		counters.others_known = true;
		counters.spans = memory_u64(memory, memstats + (uint32_t)at->mstats_mspan_sys);
		counters.caches = memory_u64(memory, memstats + (uint32_t)at->mstats_mcache_sys);
		counters.profile = memory_u64(memory, memstats + (uint32_t)at->mstats_buckhash_sys);
		counters.gc = memory_u64(memory, memstats + (uint32_t)at->mstats_gcMiscSys);
		counters.other = memory_u64(memory, memstats + (uint32_t)at->mstats_other_sys);
	}
	*out = counters;
}

// mheap_.pages: the summaries of five levels, each a slice whose capacity is fixed, then the tables
// of chunks.
static void page_allocator_parts(const struct heap *heap, runtime_part_visit visit, void *context)
{
	struct memory *memory = &heap->runtime->memory;
	remote_addr pages = heap->runtime->mheap + (uint32_t)heap->runtime->layout.at.mheap_pages;

	for (unsigned level = 0; level < SUMMARY_LEVELS; level++) {
		remote_addr slice = pages + level * 24;
		uint64_t start = memory_u64(memory, slice), count = memory_u64(memory, slice + 16);
		if (count != UINT64_C(1) << (SUMMARY_L0_BITS + level * SUMMARY_LEVEL_BITS))
			return; // not as it should be: nothing is known
		if (start)
			visit(context, RUNTIME_PAGE_ALLOCATOR, start, start + count * 8);
	}
	for (unsigned i = 0; i < CHUNK_TABLES; i++) {
		remote_addr table = memory_u64(memory, pages + SUMMARY_LEVELS * 24 + i * 8);
		if (table)
			visit(context, RUNTIME_PAGE_ALLOCATOR, table, table + CHUNK_TABLE_BYTES);
	}
}

void runtime_parts(const struct heap *heap, runtime_part_visit visit, void *context)
{
	const struct layout_offsets *at = &heap->runtime->layout.at;
	struct memory *memory = &heap->runtime->memory;
	remote_addr table = memory_u64(memory, heap->runtime->mheap + (uint32_t)at->mheap_arenas);
	remote_addr last = 0;

	visit(context, RUNTIME_ARENA_TABLES, table, table + (uint64_t)ARENA_COUNT * 8);
	for (uint32_t i = 0; i < heap->span_count; i++) {
		remote_addr arena = go_arena(heap->runtime, memory, heap->spans[i].base);
		if (arena && arena != last)
			visit(context, RUNTIME_ARENA_TABLES, arena,
				arena + (uint32_t)at->heapArena_size);
		last = arena;
	}
	page_allocator_parts(heap, visit, context);
}
