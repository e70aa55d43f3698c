// The span table: every mspan of mheap_.allspans is read once, checked, sorted by address and
// numbered; its bits are turned into the heap's bitmaps; then the index is laid over the pages.
//
// What the bits mean (runtime/mgcsweep.go, mheap.go, mbitmap.go; go 1.19 to 1.27), by
// mspan.sweepgen - mheap_.sweepgen:
//
// 0 or 3: swept (3: and cached by a P). allocBits are the marks of the last collection, and every
// slot below freeIndexForScan has been handed out since, if it was not taken before. Between
// freeIndexForScan and freeindex lie allocations that are just being made and, while a collection
// marks, those made since it began: these are allocated black, so their mark bit is set.
//
// -2 or 1: not swept (1: and still cached from before). gcmarkBits are the marks of the last
// collection; what they leave out is dead, though MemStats still counts it, and nothing has been
// allocated since.
//
// -1: a thread is sweeping it at this moment.
//
// Green tea keeps the marks of small objects inline in the span until the sweep moves them to
// gcmarkBits.
#include "goruntime/heap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/pages.h"
#include "base/search.h"
#include "base/units.h"
#include "goruntime/bits.h"
#include "goruntime/runtime_private.h"
#include "goruntime/specials.h"

enum {
	SPANS_MAX = 1 << 28,
	SMALL_OBJECT_MAX = 32768,  // runtime/sizeclasses.go: larger objects have spans of their own
	SMALL_SPAN_PAGES_MAX = 32, // the longest span of small objects has 10 pages
	SLOTS_MAX = SMALL_SPAN_PAGES_MAX * GO_PAGE_SIZE / 8,
	BITS_WORDS_MAX = SLOTS_MAX / 64,
	MSPAN_BYTES_MAX = 512,
};

// The slots' bits of one span.
struct span_bits {
	uint64_t alloc[BITS_WORDS_MAX], marks[BITS_WORDS_MAX], revived[BITS_WORDS_MAX];
};

static uint64_t record_field(const uint8_t *record, int32_t offset, size_t size)
{
	uint64_t value = 0;

	if (offset >= 0)
		memcpy(&value, record + offset, size);
	return value;
}

// How many bytes of an mspan have to be read to see all its fields.
static size_t mspan_bytes(const struct layout_offsets *at)
{
	const int32_t offsets[] = {at->mspan_startAddr, at->mspan_npages, at->mspan_freeindex,
		at->mspan_nelems, at->mspan_allocBits, at->mspan_gcmarkBits, at->mspan_sweepgen,
		at->mspan_spanclass, at->mspan_state, at->mspan_elemsize, at->mspan_limit,
		at->mspan_specials, at->mspan_freeIndexForScan, at->mspan_largeType,
		at->mspan_isUserArenaChunk};
	size_t bytes = 0;

	for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
		if (offsets[i] >= 0 && (size_t)offsets[i] + 8 > bytes)
			bytes = (size_t)offsets[i] + 8;
	}
	return bytes;
}

static bool span_is_plausible(const struct heap *heap, const struct span *span)
{
	uint64_t bytes = (uint64_t)span->pages << GO_PAGE_SHIFT;
	int32_t age = (int32_t)(span->sweepgen - heap->runtime->sweepgen);

	if (!span->base || span->base % GO_PAGE_SIZE || !span->pages ||
		span->base >> INDEX_ADDRESS_BITS || (span->base + bytes - 1) >> INDEX_ADDRESS_BITS)
		return false;
	// Bounds the index and the bitmaps by what the target has mapped.
	if (!target_region(heap->runtime->target, span->base) ||
		!target_region(heap->runtime->target, span->base + bytes - 1))
		return false;
	if (span->state == SPAN_MANUAL)
		return true;
	if (age < -2 || age > 3 || age == 2)
		return false;
	if (!span->size_class)
		return span->count == 1 && span->elem_size >= 8 && span->elem_size % 8 == 0 &&
		       span->elem_size <= bytes && span->limit > span->base &&
		       span->limit <= span->base + span->elem_size;
	return span->elem_size >= 8 && span->elem_size <= SMALL_OBJECT_MAX &&
	       span->elem_size % 8 == 0 && span->pages <= SMALL_SPAN_PAGES_MAX && span->count &&
	       (uint64_t)span->count * span->elem_size <= bytes;
}

// Reads the mspan at `address`. False when it is in no use or makes no sense.
static bool span_read(struct heap *heap, remote_addr address, size_t bytes, struct span *out)
{
	const struct layout *layout = &heap->runtime->layout;
	const struct layout_offsets *at = &layout->at;
	// runtime/mheap.go: nelems, freeindex and freeIndexForScan are uintptr up to 1.21, uint16
	// from 1.22 on.
	size_t narrow = layout->pointer_bits == POINTER_BITS_HEADER ? 2 : 8;
	uint8_t record[MSPAN_BYTES_MAX];
	struct span span = {.address = address};

	if (!memory_read(&heap->runtime->memory, address, record, bytes)) {
		heap->skipped_spans++;
		return false;
	}
	span.state = record_field(record, at->mspan_state, 1);
	if (span.state == SPAN_DEAD)
		return false;
	span.base = record_field(record, at->mspan_startAddr, 8);
	uint64_t pages = record_field(record, at->mspan_npages, 8);
	span.pages = pages <= UINT32_MAX ? pages : 0;
	span.sweepgen = record_field(record, at->mspan_sweepgen, 4);
	span.elem_size = record_field(record, at->mspan_elemsize, 8);
	if (span.state == SPAN_IN_USE) {
		uint64_t count = record_field(record, at->mspan_nelems, narrow);
		uint64_t free_index = record_field(record, at->mspan_freeindex, narrow);
		uint64_t scan_index = record_field(record, at->mspan_freeIndexForScan, narrow);
		uint8_t class = record_field(record, at->mspan_spanclass, 1);

		span.count = count <= SLOTS_MAX ? count : 0;
		span.free_index = free_index < span.count ? free_index : span.count;
		if (at->mspan_freeIndexForScan < 0)
			scan_index = free_index;
		span.free_index_scan = scan_index < span.free_index ? scan_index : span.free_index;
		span.size_class = class >> 1;
		span.noscan = class & 1;
		span.limit = record_field(record, at->mspan_limit, 8);
		span.alloc_bits = record_field(record, at->mspan_allocBits, 8);
		span.mark_bits = record_field(record, at->mspan_gcmarkBits, 8);
		span.specials = record_field(record, at->mspan_specials, 8);
		span.large_type = record_field(record, at->mspan_largeType, 8);
		span.faulted_arena = span.noscan && !span.size_class &&
				     record_field(record, at->mspan_isUserArenaChunk, 1);
	}
	if (span.state > SPAN_MANUAL || !span_is_plausible(heap, &span)) {
		heap->skipped_spans++;
		return false;
	}
	if (span.size_class) {
		span.limit = span.base + (uint64_t)span.count * span.elem_size;
		span.divide_magic = UINT32_MAX / (uint32_t)span.elem_size + 1;
	}
	span_measure(heap, &span);
	*out = span;
	return true;
}

static int span_compare(const void *left, const void *right)
{
	const struct span *a = left, *b = right;

	return a->base < b->base ? -1 : a->base > b->base;
}

// Numbers the slots and drops spans that overlap the one before them.
static struct error *spans_number(struct heap *heap)
{
	uint64_t slots = 0;
	uint32_t kept = 0;
	remote_addr end = 0;

	for (uint32_t i = 0; i < heap->span_count; i++) {
		struct span *span = &heap->spans[i];

		if (span->base < end) {
			heap->skipped_spans++;
			continue;
		}
		end = span->base + ((uint64_t)span->pages << GO_PAGE_SHIFT);
		span->first = slots;
		slots += span->count;
		if (slots >= OBJECT_NONE)
			return error_create(ERROR_TARGET,
				"the heap has more than %" PRIu32
				" slots, which heapwhy cannot number",
				OBJECT_NONE);
		if (span->state == SPAN_IN_USE)
			heap->in_use_bytes += (uint64_t)span->pages << GO_PAGE_SHIFT;
		heap->spans[kept++] = *span;
	}
	heap->span_count = kept;
	heap->object_count = slots;
	return NULL;
}

static struct error *spans_read(struct heap *heap)
{
	struct go_runtime *runtime = heap->runtime;
	size_t bytes = mspan_bytes(&runtime->layout.at);
	_cleanup_free_ uint64_t *addresses = NULL;
	uint64_t count;

	if (bytes > MSPAN_BYTES_MAX)
		return error_create(ERROR_TARGET,
			"runtime.mspan of %s is larger than any known one", runtime->version);
	struct error *err = go_read_words(runtime,
		runtime->mheap + runtime->layout.at.mheap_allspans, SPANS_MAX, &addresses, &count);
	if (err)
		return error_wrap(err, "the list of spans");
	heap->span_capacity = count + 1;
	heap->spans = pages_alloc(NULL, heap->span_capacity * sizeof(*heap->spans));
	if (!heap->spans)
		return error_no_memory();
	for (uint64_t i = 0; i < count; i++) {
		if (span_read(heap, addresses[i], bytes, &heap->spans[heap->span_count]))
			heap->span_count++;
	}
	// A few may be torn when the target was stopped in the middle of the allocator; more are
	// damage.
	if (heap->skipped_spans > 64 && heap->skipped_spans > count / 100)
		return error_create(ERROR_TARGET,
			"%" PRIu32 " of the heap's %" PRIu64
			" spans make no sense: the target's memory is damaged or not laid out as "
			"in %s",
			heap->skipped_spans, count, runtime->version);
	qsort(heap->spans, heap->span_count, sizeof(*heap->spans), span_compare);
	return spans_number(heap);
}

static bool span_has_inline_marks(const struct heap *heap, const struct span *span)
{
	return heap->runtime->layout.inline_mark_bits && span->elem_size >= INLINE_MARKS_MIN &&
	       span->elem_size <= HEAP_BITS_OBJECT_MAX;
}

// Bits that cannot be read are taken as clear; the memory counts the fault.
static void bits_read(struct heap *heap, remote_addr address, uint32_t count, uint64_t *bits)
{
	memset(bits, 0, bits_words(count) * sizeof(*bits));
	if (address && memory_read(&heap->runtime->memory, address, bits, (count + 7) / 8) &&
		count % 64)
		bits[count / 64] &= bits_low(count % 64);
}

static void span_bits_read(struct heap *heap, const struct span *span, struct span_bits *bits)
{
	bits_read(heap, span->alloc_bits, span->count, bits->alloc);
	bits_read(heap, span->mark_bits, span->count, bits->marks);
}

// Adds the marks that green tea keeps at the end of the span's only page: 63 bytes of scanned bits,
// one of state, 63 of marks, one of span class (runtime/mgcmark_greenteagc.go,
// spanInlineMarkBits; 1.25 on).
static void inline_marks_add(struct heap *heap, const struct span *span, struct span_bits *bits)
{
	uint64_t marks[INLINE_MARKS_BYTES / 2 / 8];

	if (!span_has_inline_marks(heap, span) || span->count > (INLINE_MARKS_BYTES / 2 - 1) * 8)
		return;
	if (!memory_read(&heap->runtime->memory, span->base + GO_PAGE_SIZE - INLINE_MARKS_BYTES / 2,
		    marks, sizeof(marks)))
		return;
	for (uint32_t i = 0; i < bits_words(span->count); i++)
		bits->marks[i] |= marks[i] & bits_low(span->count - i * 64);
}

static uint64_t bits_count(const uint64_t *bits, uint32_t count)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < bits_words(count); i++)
		total += (uint64_t)__builtin_popcountll(bits[i]);
	return total;
}

// Whether allocBits already are the marks of the last collection.
static bool span_is_swept(
	const struct heap *heap, const struct span *span, const struct span_bits *bits)
{
	switch ((int32_t)(span->sweepgen - heap->runtime->sweepgen)) {
	case 0:
	case 3:
		return true;
	case -1:
		// The sweeper exchanges the bits and clears the new marks before it says that it is
		// done.
		return !span->free_index && !bits_count(bits->marks, span->count);
	default:
		return false;
	}
}

// The bits of slots [64 * word, 64 * word + 64) below `limit`.
static uint64_t bits_below(uint32_t word, uint32_t limit)
{
	return limit <= word * 64 ? 0 : bits_low(limit - word * 64);
}

// What the sweeper will keep though it is not marked: objects whose finalizers are about to be
// queued (runtime/mgcsweep.go, sweep: hasFinAndRevived).
struct revival {
	struct heap *heap;
	const struct span *span;
	uint64_t *revived;
};

static bool special_revive(void *context, const struct special *special)
{
	const struct revival *revival = context;
	uint32_t slot = special->object - revival->span->first;

	if (special->kind == revival->heap->runtime->layout.special_finalizer)
		revival->revived[slot / 64] |= UINT64_C(1) << slot % 64;
	return true;
}

static void span_bits_add(struct heap *heap, const struct span *span, struct span_bits *bits)
{
	bool marking = heap->runtime->gc_phase != GC_OFF;
	uint64_t allocated_count = 0, dead_count = 0;

	span_bits_read(heap, span, bits);
	if (marking || span_is_unswept(heap, span))
		inline_marks_add(heap, span, bits);
	bool swept = span_is_swept(heap, span, bits);
	memset(bits->revived, 0, bits_words(span->count) * sizeof(uint64_t));
	if (!swept && span->specials)
		specials_walk(
			heap, span, special_revive, &(struct revival){heap, span, bits->revived});

	for (uint32_t i = 0; i < bits_words(span->count); i++) {
		unsigned count = span->count - i * 64 < 64 ? span->count - i * 64 : 64;
		uint64_t before = bits->alloc[i] | bits_below(i, span->free_index);
		uint64_t allocated, marked;

		if (swept) {
			marked = bits->alloc[i];
			allocated = marked | bits_below(i, span->free_index_scan);
			if (marking)
				allocated |= before & bits->marks[i];
			heap->in_flight += (uint64_t)__builtin_popcountll(before & ~allocated);
		} else {
			marked = bits->marks[i];
			allocated = marked | bits->revived[i];
			dead_count += (uint64_t)__builtin_popcountll(before & ~allocated);
		}
		bits_or(heap->allocated, span->first + i * 64, allocated, count);
		bits_or(heap->marked, span->first + i * 64, marked, count);
		bits_or(heap->fresh, span->first + i * 64, allocated & ~marked, count);
		allocated_count += (uint64_t)__builtin_popcountll(allocated);
	}
	heap->dead_count += dead_count;
	heap->dead_bytes += dead_count * span->elem_size;
	heap->allocated_count += allocated_count;
	// A freed user arena keeps its slot while somebody points into it, but has no memory any
	// more (runtime/arena.go, setUserArenaChunkToFault).
	if (!span->faulted_arena)
		heap->allocated_bytes += allocated_count * span->elem_size;
}

static struct error *bits_build(struct heap *heap)
{
	size_t words = bits_words((uint64_t)heap->object_count + 1);
	_cleanup_free_ struct span_bits *bits = malloc(sizeof(*bits));

	heap->allocated = calloc(words, sizeof(uint64_t));
	heap->marked = calloc(words, sizeof(uint64_t));
	heap->fresh = calloc(words, sizeof(uint64_t));
	if (!bits || !heap->allocated || !heap->marked || !heap->fresh)
		return error_no_memory();
	for (uint32_t i = 0; i < heap->span_count; i++) {
		if (heap->spans[i].count)
			span_bits_add(heap, &heap->spans[i], bits);
	}
	return NULL;
}

// Gives every chunk that holds a span in use a table. Spans ascend, so the last chunk seen is the
// only one to compare.
static struct error *index_reserve(struct heap *heap)
{
	struct heap_index *index = &heap->index;

	index->chunks = mmap(NULL, INDEX_CHUNKS * sizeof(*index->chunks), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (index->chunks == MAP_FAILED) {
		index->chunks = NULL;
		return error_no_memory();
	}
	index->table_count = 1;
	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];
		remote_addr last = span->base + ((uint64_t)span->pages << GO_PAGE_SHIFT) - 1;

		if (!span->count)
			continue;
		for (uint64_t chunk = span->base >> INDEX_CHUNK_SHIFT;
			chunk <= last >> INDEX_CHUNK_SHIFT; chunk++) {
			if (!index->chunks[chunk])
				index->chunks[chunk] = index->table_count++;
		}
	}
	index->pages =
		calloc((size_t)index->table_count * INDEX_CHUNK_PAGES, sizeof(*index->pages));
	return index->pages ? NULL : error_no_memory();
}

static struct error *index_build(struct heap *heap)
{
	struct error *err = index_reserve(heap);

	if (err)
		return err;
	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];

		for (uint32_t page = 0; span->count && page < span->pages; page++) {
			remote_addr address = span->base + ((uint64_t)page << GO_PAGE_SHIFT);
			struct heap_page *entry =
				(struct heap_page *)heap_index_page(&heap->index, address);

			*entry = (struct heap_page){.span = i,
				.first = span->first,
				.magic = span->divide_magic,
				.back = span->size_class ? page : 0,
				.count = span->count};
		}
	}
	heap->span_hints = calloc((heap->object_count >> SPAN_HINT_SHIFT) + 2, sizeof(uint32_t));
	if (!heap->span_hints)
		return error_no_memory();
	uint32_t hint = 0;
	for (uint32_t i = 0; i < heap->span_count; i++) {
		uint64_t end = (uint64_t)heap->spans[i].first + heap->spans[i].count;

		for (; (uint64_t)hint << SPAN_HINT_SHIFT < end; hint++)
			heap->span_hints[hint] = i;
	}
	heap->span_hints[hint] = heap->span_count - 1;
	return NULL;
}

// A core may hold less than the process did. What cannot be read counts for nothing, so the user must
// know how much that is.
static void absence_note(struct heap *heap)
{
	struct target *target = heap->runtime->target;
	char bytes[24];

	if (target->kind != TARGET_CORE)
		return;
	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];

		if (!span->faulted_arena)
			heap->absent_bytes += target_absent(target, span->base,
				span->base + ((uint64_t)span->pages << GO_PAGE_SHIFT));
	}
	for (unsigned i = 0; i < heap->runtime->module_count; i++) {
		const struct go_module *module = &heap->runtime->modules[i];

		heap->absent_bytes += target_absent(target, module->variables, module->end);
	}
	if (heap->absent_bytes)
		runtime_note(heap->runtime,
			"%s of the heap and of global variables are not in the core: what they "
			"refer to is not counted, what is garbage cannot be told, and nothing is "
			"looked for that is held for nothing.",
			format_bytes(bytes, sizeof(bytes), heap->absent_bytes));
	if (heap->skipped_spans)
		runtime_note(heap->runtime, "%" PRIu32 " spans of the heap make no sense.",
			heap->skipped_spans);
}

struct error *heap_open(struct go_runtime *runtime, struct heap **out)
{
	struct heap *heap = calloc(1, sizeof(*heap));

	if (!heap)
		return error_no_memory();
	heap->runtime = runtime;
	struct error *err = spans_read(heap);
	if (!err && !heap->span_count)
		err = error_create(ERROR_TARGET, "the Go heap has no spans");
	if (!err)
		err = bits_build(heap);
	if (!err)
		err = index_build(heap);
	if (err) {
		heap_close(heap);
		return err;
	}
	absence_note(heap);
	*out = heap;
	return NULL;
}

static bool has_kept_bits(const struct span *span)
{
	return span->count && !span->noscan && span->elem_size <= HEAP_BITS_OBJECT_MAX;
}

struct error *heap_keep_pointer_bits(struct heap *heap)
{
	uint64_t words = 1; // 0 means none

	heap_forget_pointer_bits(heap);
	heap->kept.first = calloc((size_t)heap->span_count + 1, sizeof(*heap->kept.first));
	if (!heap->kept.first)
		return error_no_memory();
	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];

		if (!has_kept_bits(span) || words > UINT32_MAX)
			continue;
		heap->kept.first[i] = (uint32_t)words;
		// Bits are extracted 64 at a time at any position, so there is a word beyond the last.
		words += bits_words(span->count * span->elem_size / 8) + 1;
	}
	heap->kept.bytes = words * sizeof(*heap->kept.words);
	heap->kept.words = pages_alloc(NULL, heap->kept.bytes);
	return heap->kept.words ? NULL : error_no_memory();
}

void heap_forget_pointer_bits(struct heap *heap)
{
	pages_free(heap->kept.words, heap->kept.bytes);
	free(heap->kept.first);
	heap->kept = (struct kept_bits){0};
}

void heap_close(struct heap *heap)
{
	if (!heap)
		return;
	heap_forget_pointer_bits(heap);
	pages_free(heap->spans, heap->span_capacity * sizeof(*heap->spans));
	free(heap->allocated);
	free(heap->marked);
	free(heap->fresh);
	free(heap->span_hints);
	free(heap->index.pages);
	if (heap->index.chunks)
		munmap(heap->index.chunks, INDEX_CHUNKS * sizeof(*heap->index.chunks));
	free(heap);
}

bool span_is_unswept(const struct heap *heap, const struct span *span)
{
	int32_t age = (int32_t)(span->sweepgen - heap->runtime->sweepgen);

	return age != 0 && age != 3;
}

const struct span *heap_span_of(const struct heap *heap, object_id id)
{
	// The span of the last hint at or before `id`, or one of those up to the next hint's span.
	uint32_t low = heap->span_hints[id >> SPAN_HINT_SHIFT];
	uint32_t high = heap->span_hints[(id >> SPAN_HINT_SHIFT) + 1];

	const struct span *spans = &heap->spans[low];

	return spans + FIRST_WHERE(i, high - low, spans[i + 1].first > id);
}

remote_addr heap_address(const struct heap *heap, object_id id)
{
	return span_object(heap_span_of(heap, id), id);
}

uint64_t heap_size(const struct heap *heap, object_id id)
{
	return heap_span_of(heap, id)->elem_size;
}
