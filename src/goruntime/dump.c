// Selecting and redacting memory for cores. See dump.h.
//
// Go's heap lies in arenas of 64 MiB, which the runtime keeps a table of. Within them, spans in use and
// stacks are taken. Outside, private memory is taken as a whole: the runtime's tables are spread over
// many small mappings that nothing lists.
#include "goruntime/dump.h"

#include <string.h>
#include <sys/auxv.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "debuginfo/pclntab.h"
#include "goruntime/bits.h"
#include "goruntime/heap.h"
#include "goruntime/runtime_private.h"
#include "heapwhy/vector.h"
#include "target/core_write.h"
#include "target/resident.h"

enum {
	PAGE_BYTES = 4096,
	FILE_CHUNK = 64 << 10, // files' pages are taken or left in pieces of this size
	GOROUTINES_MAX = 1 << 28,
	RANGES_MAX = 50000, // more segments are hard on debuggers
};

// The race detector's shadow, say. None of the runtime's tables is that big.
static const uint64_t FOREIGN_MAX = UINT64_C(4) << 30;

static const uint64_t ARENA_BYTES = UINT64_C(1) << ARENA_SHIFT;

struct dump_ranges {
	struct core_range *items;
	size_t count, capacity;
};

struct selection {
	struct heap *heap;
	struct dump_ranges *ranges;
	bool *vital;   // spans that hold goroutines' records
	uint32_t span; // the first that ends above what has been looked at
	bool program, failed;
};

static void take(struct selection *selection, remote_addr start, remote_addr end, bool late)
{
	struct dump_ranges *ranges = selection->ranges;
	struct core_range *last = ranges->count ? &ranges->items[ranges->count - 1] : NULL;

	if (start >= end)
		return;
	if (last && last->end == start && last->late == late &&
		target_region(selection->heap->runtime->target, start) ==
			target_region(selection->heap->runtime->target, last->start))
		last->end = end;
	else if (!hw_vector_push(ranges, ((struct core_range){start, end, late})))
		selection->failed = true;
}

static remote_addr span_end(const struct span *span)
{
	return span->base + ((uint64_t)span->pages << GO_PAGE_SHIFT);
}

// The part of an arena: [start, end).
static void take_spans(struct selection *selection, remote_addr start, remote_addr end)
{
	const struct heap *heap = selection->heap;

	while (selection->span < heap->span_count &&
		span_end(&heap->spans[selection->span]) <= start)
		selection->span++;
	for (uint32_t i = selection->span; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];
		remote_addr low = span->base > start ? span->base : start;
		remote_addr high = span_end(span) < end ? span_end(span) : end;

		if (span->base >= end)
			break;
		// Without goroutines there is no report, and stacks tell much: what is left of a
		// file that is cut off should hold them.
		take(selection, low, high, span->state == SPAN_IN_USE && !selection->vital[i]);
	}
}

static void take_anonymous(struct selection *selection, const struct region *region)
{
	struct go_runtime *runtime = selection->heap->runtime;
	bool foreign = region->end - region->start > FOREIGN_MAX && !region->is_exe;
	remote_addr at = region->start;

	while (at < region->end) {
		remote_addr next = (at & -ARENA_BYTES) + ARENA_BYTES;

		if (next > region->end || next < at)
			next = region->end;
		if (go_arena(runtime, &runtime->memory, at))
			take_spans(selection, at, next);
		else if (!foreign)
			take(selection, at, next, false);
		at = next;
	}
}

static void take_file(struct selection *selection, const struct region *region)
{
	struct target *target = selection->heap->runtime->target;

	for (remote_addr at = region->start; at < region->end; at += FILE_CHUNK) {
		size_t size = region->end - at < FILE_CHUNK ? region->end - at : FILE_CHUNK;

		if ((selection->program && region->is_exe) || !target->ops->is_file_data ||
			!target->ops->is_file_data(target, at, size))
			take(selection, at, at + size, false);
		else if (at == region->start && !region->file_offset)
			// Headers and build id tell which file it was.
			take(selection, at, at + PAGE_BYTES, false);
	}
}

// Joins neighbours until there are few enough, nearest ones first.
static void ranges_join(struct dump_ranges *ranges)
{
	for (uint64_t gap = GO_PAGE_SIZE; ranges->count > RANGES_MAX; gap *= 2) {
		size_t kept = 0;

		for (size_t i = 1; i < ranges->count; i++) {
			struct core_range *last = &ranges->items[kept];
			const struct core_range *range = &ranges->items[i];

			if (range->late == last->late && range->start - last->end <= gap)
				last->end = range->end;
			else
				ranges->items[++kept] = *range;
		}
		ranges->count = kept + 1;
	}
}

// Which spans hold the records (runtime.g) of goroutines, and the list of these.
static struct error *vital_find(struct heap *heap, bool **out)
{
	struct go_runtime *runtime = heap->runtime;
	_cleanup_free_ bool *vital = calloc((size_t)heap->span_count + 1, sizeof(*vital));
	_cleanup_free_ uint64_t *goroutines = NULL;
	uint64_t count;

	if (!vital)
		return error_no_memory();
	struct error *err =
		go_read_words(runtime, runtime->allgs, GOROUTINES_MAX, &goroutines, &count);
	if (err)
		return err;
	remote_addr list = memory_u64(&runtime->memory, runtime->allgs);
	for (uint64_t i = 0; i <= count; i++) {
		const struct span *span = heap_span(heap, i < count ? goroutines[i] : list);

		if (span)
			vital[span - heap->spans] = true;
	}
	*out = take_pointer(vital);
	return NULL;
}

static struct error *dump_select(struct heap *heap, bool program, struct dump_ranges *out)
{
	const struct target *target = heap->runtime->target;
	struct selection selection = {.heap = heap, .ranges = out, .program = program};
	_cleanup_free_ bool *vital = NULL;
	struct error *err = vital_find(heap, &vital);

	if (err)
		return err;
	selection.vital = vital;
	for (size_t i = 0; i < target->region_count; i++) {
		const struct region *region = &target->regions[i];

		// [vvar] and the like are the kernel's.
		if (!region->readable || region->shared || !strncmp(region->path, "[vv", 3) ||
			!strcmp(region->path, "[vsyscall]"))
			continue;
		if (region->is_file)
			take_file(&selection, region);
		else
			take_anonymous(&selection, region);
	}
	if (selection.failed)
		return error_no_memory();
	ranges_join(out);
	return NULL;
}

// Zeroes what [start, end) and the piece of memory at `address` have in common.
static void wipe(
	remote_addr start, remote_addr end, remote_addr address, uint8_t *bytes, size_t size)
{
	remote_addr low = start > address ? start : address;
	remote_addr high = end < address + size ? end : address + size;

	if (low < high)
		memset(bytes + (low - address), 0, high - low);
}

// Whether a word of an object without pointers says what the object is: closures that capture no
// pointer begin with the address of their code, and the runtime lists its modules.
static bool word_is_code(const struct go_runtime *runtime, uint64_t word, bool first)
{
	const struct go_module *module;
	struct pcln_function function;

	for (unsigned i = 0; i < runtime->module_count; i++) {
		if (runtime->modules[i].address == word)
			return true;
	}
	return first && go_find_function(runtime, word, &module, &function) &&
	       function.entry == word;
}

// How many bytes at `start` are the header of a channel whose elements have no pointers: it says what
// the elements are, and who waits. runtime/chan.go, makechan: the buffer follows, or there is none and
// buf points to itself (go 1.19 to 1.27).
static uint64_t channel_header(struct go_runtime *runtime, remote_addr start, uint64_t size)
{
	const struct layout_offsets *at = &runtime->layout.at;
	uint64_t bytes = (uint64_t)at->hchan_size;

	if (size < bytes)
		return 0;
	remote_addr buffer = memory_u64(&runtime->memory, start + (uint64_t)at->hchan_buf);
	remote_addr type = memory_u64(&runtime->memory, start + (uint64_t)at->hchan_elemtype);
	if (buffer != start + bytes && buffer != start + (uint64_t)at->hchan_buf)
		return 0;
	for (unsigned i = 0; i < runtime->module_count; i++) {
		const struct go_module *module = &runtime->modules[i];

		if (type >= module->types && type < module->etypes)
			return bytes;
	}
	return 0;
}

// Zeroes what the piece of memory holds of the slot at `start`.
static void redact_slot(const struct heap *heap, const struct span *span, remote_addr start,
	remote_addr address, uint8_t *bytes, size_t size)
{
	struct go_runtime *runtime = heap->runtime;
	remote_addr content = start + channel_header(runtime, start, span->elem_size);
	remote_addr at = content > address ? content : address;
	remote_addr end = start + span->elem_size;

	if (end > address + size)
		end = address + size;
	for (; at + sizeof(uint64_t) <= end; at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, bytes + (at - address), sizeof(word));
		if (word && !word_is_code(runtime, word, at == start))
			memset(bytes + (at - address), 0, sizeof(word));
	}
}

// Slots hold objects; behind the last one a span may keep bitmaps of its own.
static void redact_span(const struct heap *heap, const struct span *span, remote_addr address,
	uint8_t *bytes, size_t size)
{
	uint64_t slot = address > span->base ? (address - span->base) / span->elem_size : 0;

	for (; slot < span->count; slot++) {
		remote_addr start = span->base + slot * span->elem_size;

		if (start >= address + size)
			break;
		if (!heap_bit(heap->allocated, span->first + (object_id)slot))
			wipe(start, start + span->elem_size, address, bytes, size);
		else if (span->noscan)
			redact_slot(heap, span, start, address, bytes, size);
	}
}

static uint64_t auxv_value(const struct target *target, uint64_t type)
{
	uint64_t entry[2];

	for (size_t at = 0; at + sizeof(entry) <= target->auxv_size; at += sizeof(entry)) {
		memcpy(entry, target->auxv + at, sizeof(entry));
		if (entry[0] == type)
			return entry[1];
	}
	return 0;
}

// The strings of arguments and environment lie at the top of the first stack, between the random bytes
// that the kernel puts below them and the program's name above (fs/binfmt_elf.c, create_elf_tables).
static void redact_arguments(
	const struct target *target, remote_addr address, uint8_t *bytes, size_t size)
{
	remote_addr random = auxv_value(target, AT_RANDOM), name = auxv_value(target, AT_EXECFN);

	if (random && name > random)
		wipe(random, name, address, bytes, size);
}

// For core_contents.redact.
static void dump_redact(void *context, remote_addr address, uint8_t *bytes, size_t size)
{
	const struct heap *heap = context;

	redact_arguments(heap->runtime->target, address, bytes, size);
	size_t at = FIRST_WHERE(i, heap->span_count, span_end(&heap->spans[i]) > address);

	for (; at < heap->span_count && heap->spans[at].base < address + size; at++) {
		const struct span *span = &heap->spans[at];

		if (span->state == SPAN_IN_USE && span->count)
			redact_span(heap, span, address, bytes, size);
	}
}

static struct error *heap_write(struct heap *heap, const struct dump_options *options, int fd)
{
	struct dump_ranges ranges = HW_VECTOR_INIT;
	struct core_contents contents = {
		.target = heap->runtime->target,
		.compressed = options->compressed,
		.redacted = options->redacted,
		.redact = options->redacted ? dump_redact : NULL,
		.context = heap,
	};
	struct error *err = dump_select(heap, options->program, &ranges);

	contents.ranges = ranges.items;
	contents.range_count = ranges.count;
	if (!err)
		err = core_write(&contents, fd);
	hw_vector_deinit(&ranges);
	return err;
}

struct error *dump_write(struct target *target, const struct dump_options *options, int fd)
{
	struct go_runtime *runtime;
	struct heap *heap;
	struct error *err = go_runtime_open(target, &runtime);

	if (err)
		return err;
	err = heap_open(runtime, &heap);
	if (!err) {
		if (target->kind == TARGET_PROCESS)
			err = resident_ask(target);
		if (!err)
			err = heap_write(heap, options, fd);
		heap_close(heap);
	}
	go_runtime_close(runtime);
	return err;
}
