// Every pointer word that the collector sees in a live object, and every root, is one reference. It is
// looked up in its holder's type, and either shows its target whole, which sets a bit, or a part of
// it, which becomes a struct window. The collector's own bits say what a reference is, so that none is
// forgotten whatever the types say.
//
// Threads take runs of spans and collect windows of their own; the bits are shared.
#include "ledger/window_scan.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/together.h"
#include "goruntime/map_occupancy.h"
#include "goruntime/specials.h"
#include "ledger/views.h"

enum {
	SPANS_AT_ONCE = 64,
	TINY_BYTES = 16,       // runtime/malloc.go, maxTinySize
	FLUSH_FROM = 1 << 15,  // windows that a scanner gathers
	SETTLE_FROM = 1 << 16, // ... and all together, beyond an eighth of the objects
	MEMORY_CACHE_BYTES = 1 << 20,
	HOLDER_WORD_MAX = (1 << 28) - 1, // struct window
	LOCAL_PARTS_MAX = 8,
};

struct scanning {
	struct window_scan *scan;
	const struct heap *heap;
	const struct typing *typing;
	struct views *views;
	_Atomic uint32_t next_span;
	pthread_mutex_t lock;          // of scan->windows while threads run
	size_t settle_from, settle_at; // so many windows
};

struct scanner {
	struct scanning *scanning;
	struct heap_reader *reader;
	struct memory memory;
	uint64_t map_used_bytes, map_slack_bytes;
	struct window_vector windows;
	bool no_memory;
	const struct span *span; // being scanned, and the object in it:
	object_id object;
	remote_addr address;
	uint64_t header;                // bytes before its contents
	uint64_t typed_end;             // its type says nothing from here on
	const struct view_table *views; // NULL: nothing is known
};

// A reference: the word's value, the words behind it, and who has it.
struct reference {
	struct view view;
	uint64_t words[3];
	struct window window; // holder, offset and from_root are filled in
};

// What is known of the object that a pointer leads into.
struct place {
	const struct span *span;
	object_id id;
	uint64_t offset, room; // of the pointer in the object's contents, and how long those are
};

static bool place_find(
	const struct heap *heap, remote_addr address, object_id id, struct place *out)
{
	const struct span *span = heap_span(heap, address);
	uint64_t header = span->header_bytes;
	remote_addr start = span_object(span, id) + header;

	if (address < start || span->elem_size - header > UINT32_MAX)
		return false;
	*out = (struct place){span, id, address - start, span->elem_size - header};
	return true;
}

static bool is_tiny(const struct place *place)
{
	return place->span->noscan && place->span->elem_size <= TINY_BYTES;
}

enum sight { SIGHT_UNKNOWN, SIGHT_WHOLE, SIGHT_PART };

static enum sight extent_seen(
	const struct heap *heap, const struct place *place, struct extent extent)
{
	if (extent.start == 0 && extent.seen == extent.cap && span_fits(place->span, extent.cap))
		return SIGHT_WHOLE;
	return SIGHT_PART;
}

// A pointer to a T shows a T. At the start of an object or of an array's element a T that is
// smaller may be the first field of something larger, which whoever knows Go's ways can get at; but a
// number's address there is that of the first element of a backing array.
static enum sight see_pointer(const struct scanning *scanning, const struct place *place,
	const struct view *view, struct extent *out)
{
	uint64_t start = place->offset, size = view->size;
	struct object_type target;

	if (size > place->room - start)
		return SIGHT_UNKNOWN;
	if (!start && span_fits(place->span, size))
		return SIGHT_WHOLE;
	typing_of(scanning->typing, place->id, &target);
	if (target.source == TYPED_EXACT && target.array) {
		uint64_t unit = target.type->size;
		// A pool's own: it gets at the others by computing (indexLocal, sync/pool.go), whatever its variable
		// was taken for.
		if (!strcmp(target.type->name, "sync.poolLocal"))
			return SIGHT_WHOLE;
		if (size < unit && start % unit == 0)
			size = unit;
	} else if (!start && (view->head || (target.source == TYPED_EXACT &&
						    target.type->kind != GO_ARRAY))) {
		return SIGHT_WHOLE;
	}
	if (size > place->room - start)
		return SIGHT_UNKNOWN;
	*out = (struct extent){(uint32_t)start, (uint32_t)(start + size), (uint32_t)(start + size)};
	return extent_seen(scanning->heap, place, *out);
}

// Length and capacity are those of the header that was read: what does not fit was being changed, or
// is no slice.
static enum sight see_slice(const struct scanning *scanning, const struct place *place,
	const struct reference *reference, struct extent *out)
{
	uint64_t size = reference->view.size, length = reference->words[1];
	uint64_t capacity = reference->view.kind == VIEW_STRING ? length : reference->words[2];
	uint64_t left = place->room - place->offset;

	if (length > capacity || (size && capacity > left / size))
		return SIGHT_UNKNOWN;
	*out = (struct extent){(uint32_t)place->offset, (uint32_t)(place->offset + length * size),
		(uint32_t)(place->offset + capacity * size)};
	return extent_seen(scanning->heap, place, *out);
}

// Of a holder without a type the words may still speak for themselves: a pointer to an element of an array whose type is
// known, a length, and the capacity that ends exactly where the array does.
static struct view view_guess(
	const struct scanning *scanning, object_id id, const struct reference *reference)
{
	struct view unknown = {.kind = VIEW_UNKNOWN};
	uint64_t length = reference->words[1], capacity = reference->words[2];
	struct object_type target;
	struct place place;

	if (length > capacity || !capacity ||
		!place_find(scanning->heap, reference->words[0], id, &place))
		return unknown;
	typing_of(scanning->typing, id, &target);
	if (target.source != TYPED_EXACT || !target.array || !target.type->size ||
		target.type->size > UINT32_MAX || place.offset % target.type->size ||
		capacity > (place.room - place.offset) / target.type->size ||
		!span_fits(place.span, place.offset + capacity * target.type->size))
		return unknown;
	return (struct view){.kind = VIEW_SLICE, .size = (uint32_t)target.type->size};
}

static enum sight see(
	const struct scanning *scanning, const struct place *place, struct reference *reference)
{
	struct extent *extent = &reference->window.extent;

	switch ((enum view_kind)reference->view.kind) {
	case VIEW_WHOLE:
		return SIGHT_WHOLE;
	case VIEW_INTERFACE:
		// Values in interfaces lie in objects of their own; a pointer there may be to a part.
		return place->offset ? SIGHT_UNKNOWN : SIGHT_WHOLE;
	case VIEW_POINTER:
		reference->window.kind = WINDOW_POINTER;
		return see_pointer(scanning, place, &reference->view, extent);
	case VIEW_SLICE:
		reference->window.kind = WINDOW_SLICE;
		return see_slice(scanning, place, reference, extent);
	case VIEW_STRING:
		reference->window.kind = WINDOW_STRING;
		return see_slice(scanning, place, reference, extent);
	case VIEW_UNKNOWN:
	case VIEW_UNTYPED:
		break;
	}
	return SIGHT_UNKNOWN;
}

// Adds the reference to object `id`. False: out of memory.
static bool add_reference(const struct scanning *scanning, struct window_vector *windows,
	object_id id, struct reference *reference)
{
	struct window_scan *scan = scanning->scan;
	struct place place;
	enum sight sight = SIGHT_UNKNOWN;

	if (place_find(scanning->heap, reference->words[0], id, &place))
		sight = is_tiny(&place) ? SIGHT_WHOLE : see(scanning, &place, reference);
	if (sight != SIGHT_PART) {
		window_see_whole(scan, id, sight == SIGHT_WHOLE);
		return true;
	}
	reference->window.object = id;
	return window_seen(scan, id) || hw_stable_vector_push(windows, reference->window);
}

// The live object that `word` leads to and about which there is something to learn.
static object_id target_find(const struct scanning *scanning, uint64_t word)
{
	object_id id = word ? heap_find(scanning->heap, word) : OBJECT_NONE;

	if (id == OBJECT_NONE || window_seen(scanning->scan, id) & SEEN_SURELY)
		return OBJECT_NONE;
	return id;
}

// ---- the heap

static void scan_map(struct scanner *scanner, object_id id)
{
	const struct scanning *scanning = scanner->scanning;
	struct map_occupancy map;

	if (!map_occupancy_mark(scanning->heap, scanning->typing, &scanner->memory, id,
		    scanning->scan->map_arrays, &map))
		return;
	scanner->map_used_bytes += map.bytes - map.slack_bytes;
	scanner->map_slack_bytes += map.slack_bytes;
}

static void scanner_begin(struct scanner *scanner, object_id id)
{
	const struct scanning *scanning = scanner->scanning;
	const struct span *span = scanner->span;
	struct object_type type;

	typing_of(scanning->typing, id, &type);
	scanner->object = id;
	scanner->address = span_object(span, id);
	scanner->header = span->header_bytes;
	scanner->views = type.source == TYPED_EXACT ? views_of(scanning->views, type.type) : NULL;
	scanner->typed_end = span->elem_size;
	if (scanner->views && !type.array)
		scanner->typed_end = scanner->header + type.type->size;
	if (type.source == TYPED_EXACT && type_is_map_header(type.type))
		scan_map(scanner, id);
}

static struct view scanner_view(const struct scanner *scanner, uint64_t offset)
{
	if (!scanner->views)
		return (struct view){.kind = VIEW_UNTYPED};
	if (offset < scanner->header || offset >= scanner->typed_end)
		return (struct view){.kind = VIEW_UNKNOWN};
	uint64_t word = (offset - scanner->header) / 8;
	// A division is dear, and most objects are single values.
	return scanner->views
		->words[word < scanner->views->period ? word : word % scanner->views->period];
}

static unsigned words_behind(const struct view *view)
{
	switch ((enum view_kind)view->kind) {
	case VIEW_SLICE:
	case VIEW_UNTYPED:
		return 2;
	case VIEW_STRING:
		return 1;
	default:
		return 0;
	}
}

static bool scan_word(struct scanner *scanner, const struct word_group *group, unsigned index)
{
	uint64_t offset = group->offset + 8 * (uint64_t)index;
	object_id id = target_find(scanner->scanning, group->words[index]);

	if (id == OBJECT_NONE)
		return true;
	struct reference reference = {
		.view = scanner_view(scanner, offset),
		.words = {group->words[index]},
		.window = {.holder = scanner->object, .word = offset / 8 & HOLDER_WORD_MAX},
	};
	if (offset / 8 > HOLDER_WORD_MAX)
		reference.view.kind = VIEW_UNKNOWN;
	unsigned behind = words_behind(&reference.view);
	if (index + behind < group->count)
		memcpy(reference.words, group->words + index, (behind + 1) * sizeof(uint64_t));
	else if (!heap_read(scanner->reader, scanner->address + offset, reference.words,
			 (behind + 1) * sizeof(uint64_t)))
		reference.view.kind = VIEW_UNKNOWN;
	if (reference.view.kind == VIEW_UNTYPED)
		reference.view = view_guess(scanner->scanning, id, &reference);
	return add_reference(scanner->scanning, &scanner->windows, id, &reference);
}

static bool scan_group(void *context, const struct word_group *group)
{
	struct scanner *scanner = context;

	if (group->object != scanner->object)
		scanner_begin(scanner, group->object);
	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		if (!scan_word(scanner, group, __builtin_ctzll(bits))) {
			scanner->no_memory = true;
			return false;
		}
	}
	return true;
}

static bool windows_append(struct window_vector *to, const struct window_vector *from)
{
	if (!hw_stable_vector_reserve(to, from->count))
		return false;
	if (from->count)
		memcpy(to->items + to->count, from->items, from->count * sizeof(*from->items));
	to->count += from->count;
	return true;
}

// Hands the scanner's windows over, and makes room when there are too many.
static void scanner_flush(struct scanner *scanner)
{
	struct scanning *scanning = scanner->scanning;
	struct window_scan *scan = scanning->scan;

	pthread_mutex_lock(&scanning->lock);
	scanner->no_memory |= !windows_append(scan->windows, &scanner->windows);
	if (scan->windows->count >= scanning->settle_at) {
		windows_settle(scan);
		scanning->settle_at = scanning->settle_from + 2 * scan->windows->count;
	}
	pthread_mutex_unlock(&scanning->lock);
	scanner->windows.count = 0;
}

static void scan_span(struct scanner *scanner, const struct span *span)
{
	scanner->span = span;
	heap_scan_span(scanner->reader, span,
		graph_reached(scanner->scanning->scan->analysis->graph), scan_group, scanner);
}

static void scanner_run(void *job)
{
	struct scanner *scanner = job;
	struct scanning *scanning = scanner->scanning;
	const struct heap *heap = scanning->heap;

	while (!cancel_requested() && !scanner->no_memory) {
		uint32_t first = atomic_fetch_add(&scanning->next_span, SPANS_AT_ONCE);
		if (first >= heap->span_count)
			break;
		for (uint32_t i = first; i < first + SPANS_AT_ONCE && i < heap->span_count; i++)
			scan_span(scanner, &heap->spans[i]);
		if (scanner->windows.count >= FLUSH_FROM)
			scanner_flush(scanner);
	}
	scanner_flush(scanner);
}

static struct error *scan_heap(struct scanning *scanning)
{
	struct scanner scanners[TOGETHER_MAX] = {0};
	unsigned count = scanning->scan->threads, ready = 0;
	struct error *err = NULL;

	for (; ready < count && !err; ready++) {
		scanners[ready].scanning = scanning;
		scanners[ready].object = OBJECT_NONE;
		hw_stable_vector_init(&scanners[ready].windows, 0, NULL);
		err = heap_reader_create(scanning->heap, &scanners[ready].reader);
		if (!err)
			err = memory_init(&scanners[ready].memory, scanning->scan->analysis->target,
				MEMORY_CACHE_BYTES);
	}
	if (!err)
		together(scanner_run, scanners, count, sizeof(*scanners));
	for (unsigned i = 0; i < ready; i++) {
		if (!err && scanners[i].no_memory)
			err = error_no_memory();
		scanning->scan->map_used_bytes += scanners[i].map_used_bytes;
		scanning->scan->map_slack_bytes += scanners[i].map_slack_bytes;
		hw_stable_vector_deinit(&scanners[i].windows);
		memory_deinit(&scanners[i].memory);
		heap_reader_destroy(scanners[i].reader);
	}
	return !err && cancel_requested() ? error_cancelled() : err;
}

// ---- roots

// What the word at `offset` of a variable of this type sees.
static struct view variable_view(
	struct scanning *scanning, const struct go_type *type, uint64_t offset)
{
	const struct view_table *table = views_of(scanning->views, type);

	if (!table || offset % 8 || offset >= type->size)
		return (struct view){.kind = VIEW_UNKNOWN};
	return table->words[offset / 8 % table->period];
}

static bool scan_global(struct scanning *scanning, struct analysis *analysis, object_id id,
	struct reference *reference, struct global_name *global)
{
	const struct root *root = &analysis->roots.list.items[reference->window.holder];
	const struct go_type *type;
	uint64_t offset;

	if (root->slot - global->start >= global->size &&
		!typing_global(analysis->typing, root->slot, global))
		*global = (struct global_name){0};
	reference->view = (struct view){.kind = VIEW_UNTYPED};
	if (typing_global_part(analysis->typing, global, root->slot, &type, &offset))
		reference->view = variable_view(scanning, type, offset);
	else if (global->type)
		reference->view.kind = VIEW_UNKNOWN;
	size_t bytes = (words_behind(&reference->view) + 1) * sizeof(uint64_t);
	if (!memory_read(&analysis->runtime->memory, root->slot, reference->words, bytes))
		reference->view.kind = VIEW_UNKNOWN;
	reference->words[0] = root->value;
	if (reference->view.kind == VIEW_UNTYPED)
		reference->view = view_guess(scanning, id, reference);
	return add_reference(scanning, scanning->scan->windows, id, reference);
}

// A slice or string, by one of the variables that the stack word is a part of. Debug information keeps the old length of
// a variable that got one which the code has as a number; so a slice is believed only where its capacity ends when the
// array does, as most do.
static bool local_complete(struct scanning *scanning, object_id id, const struct local_part *part,
	struct reference *reference)
{
	uint64_t left, capacity = part->words[2];
	struct place place;

	reference->view = variable_view(scanning, part->type, part->offset);
	if ((reference->view.kind != VIEW_SLICE && reference->view.kind != VIEW_STRING) ||
		part->known <= words_behind(&reference->view) ||
		!place_find(scanning->heap, part->words[0], id, &place))
		return false;
	memcpy(reference->words, part->words, sizeof(reference->words));
	left = place.room - place.offset;
	return reference->view.kind == VIEW_STRING || !reference->view.size ||
	       (capacity <= left / reference->view.size &&
		       span_fits(place.span, place.offset + capacity * reference->view.size));
}

// Of a goroutine that works, variables show what it is working on: a loop that takes `rest = rest[1:]` lets the whole go
// when it ends. What one keeps that waits for more to do stays.
static bool waits_for_more(const struct goroutine *goroutine)
{
	static const char *const waits[] = {"chan receive", "select", "sync.Cond.Wait"};

	if (goroutine->status != GOROUTINE_WAITING)
		return false;
	for (size_t i = 0; i < ARRAY_COUNT(waits); i++)
		if (!strcmp(goroutine->wait_reason, waits[i]))
			return true;
	return false;
}

// A stack word is often a part of several variables, each of which may see something else. A pointer sees the whole: the
// compiler keeps the address of an array's element for the array.
static bool scan_local(struct scanning *scanning, struct analysis *analysis, object_id id,
	struct reference *reference)
{
	const struct root *root = &analysis->roots.list.items[reference->window.holder];
	struct local_part parts[LOCAL_PARTS_MAX];
	struct reference seen[LOCAL_PARTS_MAX];
	size_t count = 0;
	bool good = true;

	if (root->precise && waits_for_more(&analysis->goroutines->goroutines[root->owner]))
		count = typing_local_parts(analysis->typing, root, parts, ARRAY_COUNT(parts));
	for (size_t i = 0; i < count; i++) {
		seen[i] = *reference;
		if (!local_complete(scanning, id, &parts[i], &seen[i]))
			count = 0;
	}
	if (!count)
		return add_reference(scanning, scanning->scan->windows, id, reference);
	for (size_t i = 0; i < count && good; i++)
		good = add_reference(scanning, scanning->scan->windows, id, &seen[i]);
	return good;
}

static bool scan_root(struct scanning *scanning, struct analysis *analysis, size_t index,
	struct global_name *global)
{
	const struct root *root = &analysis->roots.list.items[index];
	object_id id = target_find(scanning, root->value);

	if (id == OBJECT_NONE)
		return true;
	struct reference reference = {
		.view = {.kind = VIEW_UNKNOWN},
		.words = {root->value},
		.window = {.holder = (uint32_t)index, .from_root = true},
	};
	switch (root->kind) {
	case ROOT_GLOBAL:
		return scan_global(scanning, analysis, id, &reference, global);
	case ROOT_STACK:
		return scan_local(scanning, analysis, id, &reference);
	default:
		return add_reference(scanning, scanning->scan->windows, id, &reference);
	}
}

static struct error *scan_roots(struct scanning *scanning, struct analysis *analysis)
{
	struct global_name global = {0};

	for (size_t i = 0; i < analysis->roots.list.count; i++)
		if (!scan_root(scanning, analysis, i, &global))
			return error_no_memory();
	return NULL;
}

// Maps of goroutines' own: what their groups have beyond the entries.
static void scan_stack_maps(struct scanning *scanning, struct analysis *analysis)
{
	struct window_scan *scan = scanning->scan;
	size_t count;
	const struct stack_map *maps = typing_stack_maps(analysis->typing, &count);
	struct map_occupancy map;

	for (size_t i = 0; i < count; i++) {
		if (!map_measure(scanning->heap, &analysis->runtime->memory, maps[i].header,
			    maps[i].address, scan->map_arrays, &map))
			continue;
		scan->map_used_bytes += map.bytes - map.slack_bytes;
		scan->map_slack_bytes += map.slack_bytes;
	}
}

// ---- specials: whoever runs a finalizer, or makes a weak pointer strong again, sees the object

static bool see_special(void *context, const struct special *special)
{
	struct window_scan *scan = context;

	if (special->kind != scan->analysis->runtime->layout.special_profile)
		window_see_whole(scan, special->object, true);
	return true;
}

static struct error *scan_all(struct scanning *scanning, struct analysis *analysis)
{
	struct error *err;

	for (uint32_t i = 0; i < analysis->heap->span_count; i++)
		if (analysis->heap->spans[i].count)
			specials_walk(analysis->heap, &analysis->heap->spans[i], see_special,
				scanning->scan);
	err = scan_roots(scanning, analysis);
	scan_stack_maps(scanning, analysis);
	return err ? err : scan_heap(scanning);
}

struct error *window_scan_run(struct window_scan *scan, struct analysis *analysis)
{
	struct scanning scanning = {
		.scan = scan, .heap = analysis->heap, .typing = analysis->typing};
	const uint64_t *live = graph_reached(analysis->graph);
	size_t words = (size_t)analysis->heap->object_count / 64 + 1;

	pthread_mutex_init(&scanning.lock, NULL);
	scanning.settle_from = SETTLE_FROM + analysis->heap->object_count / 8;
	scanning.settle_at = scanning.settle_from;
	scan->analysis = analysis;
	scan->seen = calloc(words * 2, sizeof(uint64_t));
	scan->map_arrays = calloc(words, sizeof(uint64_t));
	scanning.views = views_create(typing_types(analysis->typing));
	for (size_t i = 0; i < words && scan->seen; i++)
		for (uint64_t dead = ~live[i]; dead; dead &= dead - 1)
			window_see_whole(
				scan, (object_id)(i * 64) + (object_id)__builtin_ctzll(dead), true);
	struct error *err = scan->seen && scan->map_arrays && scanning.views
				    ? scan_all(&scanning, analysis)
				    : error_no_memory();
	views_destroy(scanning.views);
	pthread_mutex_destroy(&scanning.lock);
	return err;
}

void window_scan_deinit(struct window_scan *scan)
{
	free(scan->seen);
	free(scan->map_arrays);
}
