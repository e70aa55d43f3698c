// The roots on the goroutines' stacks: runtime.scanstack and what it calls (mgcmark.go,
// mgcstack.go), which mean the same from go 1.19 to 1.27 but for what is noted below.
//
// Frame by frame, the compiler's maps say which words are pointers. A pointer to a variable on the
// stack itself (a stack object) makes that variable's words roots in their turn. Goroutines that we
// caught running are at no safepoint, where the collector would have brought them first: their
// innermost frames and registers are scanned conservatively.
#include "goruntime/goroutine.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "goruntime/gc_program.h"
#include "goruntime/goroutine_private.h"
#include "goruntime/range_reader.h"
#include "goruntime/roots.h"
#include "goruntime/stack_map.h"
#include "heapwhy/arena.h"

// Damaged tables may describe the same words over and over. Real ones touch a word as a local of
// one frame, as an argument of the next, in a stack object, and once more when the whole stack is
// scanned conservatively.
enum { SCANS_OF_A_WORD_MAX = 8 };

struct stack_object {
	remote_addr address;
	uint64_t size, words; // `words` from the start may be pointers
	const uint8_t *mask;
	uint32_t frame;
	bool seen;
};

struct address_list {
	remote_addr *items;
	size_t count, capacity;
};

// A module's read-only data, where the masks of stack objects lie.
struct rodata {
	const uint8_t *bytes;
	uint64_t size;
};

struct scan {
	struct heap *heap;
	struct go_runtime *runtime;
	const struct goroutine_list *list;
	struct roots *roots;
	struct frame_maps maps;
	struct rodata *rodata;  // beside runtime->modules
	struct hw_arena arena;  // unrolled GC programs
	struct hw_map programs; // address of the program -> struct unrolled
	// The goroutine being scanned.
	uint32_t owner;
	uint32_t frame;
	enum root_kind kind;
	const struct goroutine *goroutine;
	struct stack_bytes bytes;
	uint64_t budget; // words that may still be looked at
	HW_VECTOR(struct stack_object) objects;
	struct address_list precise, conservative; // pointers into the stack, to be followed
	bool no_memory;
};

// A pointer found at `slot` (0: in a register).
static void scan_pointer(struct scan *scan, remote_addr slot, uint64_t value, bool precise)
{
	const struct goroutine *goroutine = scan->goroutine;

	if (goroutine->stack_low <= value && value < goroutine->stack_high) {
		struct address_list *queue = precise ? &scan->precise : &scan->conservative;
		if (!hw_vector_push(queue, value))
			scan->no_memory = true;
		return;
	}
	if (value && !roots_add(scan->roots, scan->heap,
			     &(struct root){
				     .kind = scan->kind,
				     .precise = precise,
				     .owner = scan->owner,
				     .frame = scan->kind == ROOT_STACK ? scan->frame : 0,
				     .slot = slot,
				     .value = value,
			     }))
		scan->no_memory = true;
}

// Words [start, start + 8 * words) of the stack, those whose bit in `mask` is set (NULL: all).
// Returns false when they are not all on the stack.
static bool scan_words(
	struct scan *scan, remote_addr start, uint64_t words, const uint8_t *mask, bool precise)
{
	const struct stack_bytes *bytes = &scan->bytes;
	bool inside =
		start >= bytes->low && start <= bytes->high && words <= (bytes->high - start) / 8;

	if (!inside || words > scan->budget)
		return false;
	scan->budget -= words;
	if (!precise)
		scan->roots->conservative_words += words;
	for (uint64_t i = 0; i < words; i++) {
		uint64_t value;

		if (mask && i % 8 == 0 && !mask[i / 8]) {
			i += 7;
			continue;
		}
		if (mask && !(mask[i / 8] >> i % 8 & 1))
			continue;
		memcpy(&value, bytes->bytes + (start - bytes->low) + 8 * i, sizeof(value));
		scan_pointer(scan, start + 8 * i, value, precise);
	}
	return true;
}

// Conservatively, what of [low, high) lies on the stack.
static void scan_range(struct scan *scan, remote_addr low, remote_addr high)
{
	low = (low + 7) & ~UINT64_C(7);
	if (low < scan->bytes.low)
		low = (scan->bytes.low + 7) & ~UINT64_C(7);
	if (high > scan->bytes.high)
		high = scan->bytes.high;
	if (low < high)
		scan_words(scan, low, (high - low) / 8, NULL, false);
}

// Conservatively, memory outside of the stack that holds the goroutine's registers or the runtime's
// work for it.
static void scan_outside(struct scan *scan, remote_addr low, remote_addr high)
{
	enum { PIECE = 512 };
	uint64_t words[PIECE];
	uint64_t left = high > low ? (high - low) / 8 : 0;

	while (left) {
		size_t count = left < PIECE ? left : PIECE;

		target_read_sparse(scan->runtime->target, low, words, count * 8);
		scan->roots->conservative_words += count;
		for (size_t i = 0; i < count; i++)
			scan_pointer(scan, low + 8 * i, words[i], false);
		low += 8 * count;
		left -= count;
	}
}

static void scan_registers(struct scan *scan, const struct registers *registers)
{
	scan->roots->conservative_words += registers->word_count;
	for (unsigned i = 0; i < registers->word_count; i++)
		scan_pointer(scan, 0, registers->words[i], false);
}

// runtime.argMapInternal (stkframe.go; getArgInfo up to 1.20): the frames of reflect.makeFuncStub
// and methodValueCall have a *reflectMethodValue {fn, *bitvector, argLen} at 0(SP), whose bitvector
// {n int32, bytedata} maps the arguments, and at 32(SP) a byte that tells whether the results are
// valid as well.
//
// Both are 8 bytes higher on arm64, behind the saved return address (MinFrameSize). The frames also
// have an internal/abi.RegArgs as their highest local variable: integer registers, float registers, as
// many pointers (Ptrs) as there are integer registers, and 2 bytes of flags.
enum { REFLECT_VALID_OFFSET = 32, REFLECT_ARGUMENT_WORDS_MAX = 1 << 20 };
static const struct reflect_frame {
	uint8_t skip;    // MinFrameSize
	uint8_t words;   // of RegArgs, up to the end of Ptrs
	uint16_t bytes;  // of RegArgs
	uint8_t mask[6]; // a bit for each word of Ptrs
} reflect_frames[] = {
	[ARCH_AMD64] = {0, 33, 272, {0, 0, 0, 0xff, 1}},
	[ARCH_ARM64] = {8, 48, 392, {0, 0, 0, 0, 0xff, 0xff}},
};

static bool scan_reflect_arguments(struct scan *scan, const struct frame *frame,
	const struct frame_map *map, remote_addr method_value, bool results_valid)
{
	struct memory *memory = &scan->runtime->memory;
	remote_addr vector = memory_u64(memory, method_value + 8);
	uint64_t arguments = memory_u64(memory, method_value + 16) / 8;
	int32_t count = (int32_t)memory_u32(memory, vector);
	_cleanup_free_ uint8_t *mask = NULL;
	uint64_t words;

	if (memory_u64(memory, method_value) != map->entry || count < 0 ||
		count > REFLECT_ARGUMENT_WORDS_MAX)
		return false;
	words = results_valid || arguments > (uint32_t)count ? (uint32_t)count : arguments;
	mask = malloc(words / 8 + 1);
	if (!mask) {
		scan->no_memory = true;
		return true;
	}
	return memory_read(memory, memory_u64(memory, vector + 8), mask, (words + 7) / 8) &&
	       scan_words(scan, frame->fp, words, mask, true);
}

static bool scan_reflect_stub(
	struct scan *scan, const struct frame *frame, const struct frame_map *map)
{
	const struct reflect_frame *layout = &reflect_frames[scan->runtime->target->arch];
	struct stack_object registers = {
		.address = frame_locals_end(frame) - layout->bytes,
		.size = layout->bytes,
		.words = layout->words,
		.mask = layout->mask,
		.frame = scan->frame,
	};
	uint64_t method_value, valid;

	if (frame->pc == map->entry) {
		// A goroutine that has not started yet: the function value is its context (up
		// to 1.20; later ones wrap such a function in a closure unless it has no
		// arguments).
		remote_addr context = scan->list->stacks[scan->owner].context;
		return !context || scan_reflect_arguments(scan, frame, map, context, false);
	}
	if (registers.address > frame->sp && !hw_vector_push(&scan->objects, registers))
		scan->no_memory = true;
	remote_addr first = frame->sp + layout->skip;
	return stack_word(&scan->bytes, first, &method_value) &&
	       stack_word(&scan->bytes, first + REFLECT_VALID_OFFSET, &valid) &&
	       scan_reflect_arguments(scan, frame, map, method_value, valid & 0xff);
}

// A GC program that has been run.
struct unrolled {
	uint64_t words;
	uint8_t mask[];
};

// The mask of a stack object described by a GC program (up to 1.23): length (uint32), then the
// program.
static const uint8_t *program_mask(
	struct scan *scan, const struct rodata *rodata, uint64_t offset, uint64_t words)
{
	// Programs of different modules are told apart by where their bytes are mapped.
	uint64_t known, key = (uint64_t)(uintptr_t)(rodata->bytes + offset);
	struct unrolled *unrolled;

	if (hw_map_get(&scan->programs, key, &known)) {
		unrolled = (struct unrolled *)(uintptr_t)known;
		return unrolled->words == words ? unrolled->mask : NULL;
	}
	if (rodata->size - offset < 4)
		return NULL;
	unrolled = hw_arena_alloc(&scan->arena, sizeof(*unrolled) + words / 8 + 1);
	if (!unrolled || !hw_map_put(&scan->programs, key, (uint64_t)(uintptr_t)unrolled)) {
		scan->no_memory = true;
		return NULL;
	}
	unrolled->words = words;
	if (!gc_program_run(
		    rodata->bytes + offset + 4, rodata->size - offset - 4, unrolled->mask, words))
		scan->roots->missing_maps++;
	return unrolled->mask;
}

static bool add_object(
	struct scan *scan, const struct frame *frame, const struct stack_object_record *record)
{
	const struct rodata *rodata = &scan->rodata[frame->module];
	remote_addr base = record->offset < 0 ? frame_locals_end(frame) : frame->fp;
	int64_t pointer_bytes = record->pointer_bytes;
	bool program = pointer_bytes < 0;
	struct stack_object object = {
		.address = base + (uint64_t)(int64_t)record->offset,
		.size = record->size > 0 ? (uint32_t)record->size : 0,
		.frame = scan->frame,
	};

	object.words = (uint64_t)(program ? -pointer_bytes : pointer_bytes) / 8;
	if (object.address < frame->sp)
		return true; // the function has not made room for it yet
	if (object.address > scan->bytes.high || object.size > scan->bytes.high - object.address ||
		object.words > object.size / 8 || record->mask > rodata->size)
		return false;
	if (program)
		object.mask = program_mask(scan, rodata, record->mask, object.words);
	else if (rodata->size - record->mask >= (object.words + 7) / 8)
		object.mask = rodata->bytes + record->mask;
	if (!object.mask)
		return false;
	if (!hw_vector_push(&scan->objects, object))
		scan->no_memory = true;
	return true;
}

static unsigned locals_least(const struct scan *scan)
{
	return scan->runtime->target->arch == ARCH_ARM64 ? 16 : 0;
}

static bool scan_precisely(
	struct scan *scan, const struct frame *frame, const struct frame_map *map)
{
	remote_addr end = frame_locals_end(frame);
	bool good = true;

	// runtime/stkframe.go, getStackMap: minsize (StackAlign on arm64).
	if (end > frame->sp + locals_least(scan)) {
		uint64_t words = (end - frame->sp) / 8;
		if (map->locals_missing || map->local_words > words)
			good = false;
		else
			good = scan_words(scan, end - 8 * (uint64_t)map->local_words,
				map->local_words, map->locals, true);
	}
	if (map->kind == FUNCTION_REFLECT_STUB)
		return scan_reflect_stub(scan, frame, map) && good;
	good = good && !map->args_missing &&
	       scan_words(scan, frame->fp, map->arg_words, map->args, true);
	for (uint32_t i = 0; i < map->object_count; i++) {
		struct stack_object_record record;
		stack_object_record(map->objects, i, &record);
		good = add_object(scan, frame, &record) && good;
	}
	return good;
}

static void scan_conservatively(
	struct scan *scan, const struct frame *frame, const struct frame_map *map)
{
	scan->roots->conservative_frames++;
	scan_range(scan, frame->sp, frame_locals_end(frame));
	scan_range(scan, frame->fp, frame->fp + (uint32_t)map->arg_bytes);
}

static void scan_frame(struct scan *scan, const struct frame *frame)
{
	const struct frame_map *map = frame_map(&scan->maps, frame);

	if (!map) {
		scan->no_memory = true;
	} else if (frame->flags & FRAME_CONSERVATIVE) {
		scan_conservatively(scan, frame, map);
	} else if (map->target && !scan_precisely(scan, frame, map)) {
		scan->roots->missing_maps++;
		scan_conservatively(scan, frame, map);
	}
}

// The defers and panics of a goroutine. A record may lie on the heap or on the stack, and the list
// weaves between them.
static void scan_defers(struct scan *scan, const struct goroutine_stack *stack)
{
	const struct layout_offsets *at = &scan->runtime->layout.at;
	struct memory *memory = &scan->runtime->memory;
	remote_addr defer = stack->defers, checkpoint = 0;

	scan->kind = ROOT_DEFER;
	// Brent's way to notice a list that a damaged target has closed to a ring.
	for (uint64_t steps = 1, next = 1; defer && defer != checkpoint; steps++) {
		remote_addr function = defer + (uint64_t)at->_defer_fn;
		remote_addr link = defer + (uint64_t)at->_defer_link;

		if (steps == next) {
			checkpoint = defer;
			next *= 2;
		}
		scan_pointer(scan, function, memory_u64(memory, function), true);
		scan_pointer(scan, link, memory_u64(memory, link), true);
		if (memory_u8(memory, defer + (uint64_t)at->_defer_heap))
			scan_pointer(scan, 0, defer, true);
		defer = memory_u64(memory, link);
	}
	if (stack->panics)
		scan_pointer(scan, 0, stack->panics, true);
	scan->kind = ROOT_STACK;
}

static int object_compare(const void *left, const void *right)
{
	const struct stack_object *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

static struct stack_object *find_object(struct scan *scan, remote_addr address)
{
	size_t at = FIRST_WHERE(i, scan->objects.count,
		scan->objects.items[i].address + scan->objects.items[i].size > address);

	if (at == scan->objects.count || scan->objects.items[at].address > address)
		return NULL;
	return &scan->objects.items[at];
}

// stackScanState.getPtr: all precise pointers go before any conservative one, so that an object is
// scanned conservatively only when nothing precise leads to it.
static void scan_objects(struct scan *scan)
{
	if (scan->objects.count)
		qsort(scan->objects.items, scan->objects.count, sizeof(struct stack_object),
			object_compare);
	while (scan->precise.count || scan->conservative.count) {
		bool precise = scan->precise.count;
		struct address_list *queue = precise ? &scan->precise : &scan->conservative;
		struct stack_object *object = find_object(scan, queue->items[--queue->count]);

		if (!object || object->seen)
			continue;
		object->seen = true;
		scan->frame = object->frame;
		if (!scan_words(scan, object->address, object->words, object->mask, precise))
			scan->roots->missing_maps++;
	}
}

// A running goroutine's pointers outside of its stack.
static void scan_thread(struct scan *scan, const struct goroutine_stack *stack)
{
	uint32_t thread = scan->goroutine->thread;

	if (stack->registers && thread != UINT32_MAX)
		scan_registers(scan, &scan->runtime->target->threads[thread].registers);
	scan_outside(scan, stack->signal_low, stack->signal_high);
	scan_outside(scan, stack->thread_low, stack->thread_high);
	scan_outside(scan, stack->vector_low, stack->vector_high);
	scan_outside(scan, stack->vector_pending_low, stack->vector_pending_high);
}

// The part of the stack that the frames do not cover, or not for certain.
static void scan_remainder(struct scan *scan, const struct goroutine_stack *stack)
{
	const struct goroutine *goroutine = scan->goroutine;
	remote_addr low = scan->bytes.low;

	if (stack->complete && stack->position != STACK_MOVING)
		return;
	if (stack->position != STACK_UNKNOWN && stack->position != STACK_MOVING &&
		goroutine->frame_count)
		low = scan->list->frames[goroutine->first_frame + goroutine->frame_count - 1].fp;
	if (!stack->complete)
		scan->roots->unknown_frames++;
	scan_range(scan, low, scan->bytes.high);
}

static void scan_goroutine(struct scan *scan, uint32_t owner, const struct stack_bytes *bytes)
{
	const struct goroutine *goroutine = &scan->list->goroutines[owner];
	const struct goroutine_stack *stack = &scan->list->stacks[owner];

	scan->owner = owner;
	scan->goroutine = goroutine;
	scan->bytes = *bytes;
	scan->budget = SCANS_OF_A_WORD_MAX * ((bytes->high - bytes->low) / 8);
	scan->objects.count = 0;
	scan->frame = 0;
	scan->kind = ROOT_STACK;

	scan_pointer(scan, 0, stack->context, true);
	scan_thread(scan, stack);
	for (uint32_t i = 0; i < goroutine->frame_count; i++) {
		scan->frame = i;
		scan_frame(scan, &scan->list->frames[goroutine->first_frame + i]);
	}
	scan_remainder(scan, stack);
	scan_defers(scan, stack);
	scan_objects(scan);
}

// Masks are found by their offset from moduledata.rodata; where the read-only data end is not
// recorded.
static struct error *scan_map_rodata(struct scan *scan)
{
	const struct go_runtime *runtime = scan->runtime;

	scan->rodata = calloc(runtime->module_count, sizeof(*scan->rodata));
	if (!scan->rodata)
		return error_no_memory();
	for (unsigned i = 0; i < runtime->module_count; i++) {
		remote_addr start = runtime->modules[i].rodata;
		const struct region *region = target_region(runtime->target, start);
		const void *bytes;
		struct error *err;

		if (!region)
			continue;
		err = target_map(runtime->target, start, region->end - start, &bytes);
		if (err)
			return error_wrap(err, "read-only data");
		scan->rodata[i] = (struct rodata){bytes, region->end - start};
	}
	return NULL;
}

static struct error *scan_all(struct scan *scan)
{
	const struct goroutine_list *list = scan->list;
	_cleanup_free_ struct range *ranges =
		calloc(list->count ? list->count : 1, sizeof(*ranges));
	struct range_reader reader;
	const struct range *range;
	const uint8_t *bytes;
	struct error *err;

	if (!ranges)
		return error_no_memory();
	err = scan_map_rodata(scan);
	if (err)
		return err;
	for (uint32_t i = 0; i < list->count; i++)
		ranges[i] =
			(struct range){goroutine_stack_low(&list->goroutines[i], &list->stacks[i]),
				list->goroutines[i].stack_high, i};
	range_reader_init(&reader, scan->runtime->target, ranges, list->count);
	while (!scan->no_memory && range_reader_next(&reader, &range, &bytes)) {
		struct stack_bytes stack = {bytes, range->low, range->high};
		scan_goroutine(scan, range->owner, &stack);
	}
	err = range_reader_end(&reader);
	return !err && scan->no_memory ? error_no_memory() : err;
}

struct error *goroutines_roots(
	struct heap *heap, const struct goroutine_list *list, struct roots *out)
{
	struct scan scan = {.heap = heap, .runtime = heap->runtime, .list = list, .roots = out};
	struct error *err;

	frame_maps_init(&scan.maps, heap->runtime);
	hw_arena_init(&scan.arena, 0);
	hw_map_init(&scan.programs);
	err = scan_all(&scan);
	hw_vector_deinit(&scan.objects);
	hw_vector_deinit(&scan.precise);
	hw_vector_deinit(&scan.conservative);
	hw_map_deinit(&scan.programs);
	hw_arena_deinit(&scan.arena);
	frame_maps_deinit(&scan.maps);
	free(scan.rodata);
	return error_wrap(err, "goroutine stacks");
}
