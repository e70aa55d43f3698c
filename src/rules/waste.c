// Which objects are wasted, and by how much.
//
// An object is worth a word when copying what is seen of it would give a good part of what it keeps back. Room at an
// array's end has to be three times what is in use: slices that grow by append leave at most half of their array unused
// (runtime/slice.go, growslice: doubled below 256 elements, less from there on, the same since 1.18). Where nothing was
// ever put there, the array may have been made for what is still to come, and it has to be much more.
#include "rules/waste.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "rules/goroutines.h"
#include "rules/objects.h"

enum {
	OWN_PART_MIN = 2,   // of its own slot, half of it
	BELOW_PART_MIN = 3, // of all that it keeps, with what hangs below it
	BELOW_BYTES_MIN = 512,
	SPARE_RATIO = 3,
	UNTOUCHED_RATIO = 16,
	PROBE_WORDS = 256,
	ROOM_BYTES_MIN = 16 << 10,
	BUFFER_BYTES_MIN = 1 << 20,
	WASTE_BYTES_MIN = 256
};

// Only closures refer to it.
static bool is_captured(const struct rule_run *run, const struct windowed_object *object)
{
	const struct window *windows = &run->windows->list.items[object->first];

	for (uint32_t i = 0; i < object->count; i++)
		if (windows[i].from_root ||
			!typing_is_closure(run->analysis->typing, windows[i].holder))
			return false;
	return true;
}

// Whoever it is a field of keeps it to fill it again and again.
static bool is_buffer(const struct rule_run *run, const struct windowed_object *object)
{
	const struct go_type *owner =
		window_owner(run->analysis, &run->windows->list.items[object->first]);

	return owner &&
	       (!strcmp(owner->name, "bytes.Buffer") || !strcmp(owner->name, "strings.Builder"));
}

// Compressors have their memory made as large as they may need, and use what the data ask for.
static bool is_compressors(const struct rule_run *run, const struct windowed_object *object)
{
	const struct go_type *owner =
		window_owner(run->analysis, &run->windows->list.items[object->first]);

	return owner && !strncmp(owner->package, "compress/", strlen("compress/"));
}

// A part of bytes that were read is taken for what it is also where the slice could still be extended; of other things a
// short slice at the array's start is one with room to grow.
static enum waste_kind kind_of(const struct rule_run *run, const struct windowed_object *object)
{
	const struct window *windows = &run->windows->list.items[object->first];
	struct object_type type;
	bool starts = false;

	if (is_captured(run, object))
		return WASTE_CAPTURED;
	if (!windows->from_root && object_is_pooled(run, windows->holder))
		return WASTE_POOLED;
	if (object->pinned >= object->spare)
		return WASTE_PINNED;
	typing_of(run->analysis->typing, object->id, &type);
	// Windows are sorted: a slice that begins where the array does, if any, comes first.
	for (uint32_t i = 0; i < object->count && !starts; i++)
		starts = !windows[i].extent.start && windows[i].kind == WINDOW_SLICE;
	if (!starts)
		return WASTE_PINNED;
	bool is_part = object->viewed && type.type && type.type->size == 1;
	return is_part && !is_buffer(run, object) ? WASTE_PINNED : WASTE_SPARE;
}

// What somebody sees, stretch by stretch, merged: windows come sorted by their start.
struct stretches {
	const struct window *windows;
	uint32_t count, next;
	uint64_t start, end;
};

static struct stretches stretches_of(
	const struct rule_run *run, const struct windowed_object *object)
{
	return (struct stretches){
		.windows = &run->windows->list.items[object->first], .count = object->count};
}

static bool stretches_next(struct stretches *stretches)
{
	const struct window *windows = stretches->windows;
	uint32_t i = stretches->next, count = stretches->count;

	while (i < count && windows[i].extent.seen == windows[i].extent.start)
		i++;
	if (i == count) {
		stretches->start = stretches->end = UINT64_MAX;
		return false;
	}
	stretches->start = windows[i].extent.start;
	stretches->end = windows[i].extent.seen;
	for (; i < count && windows[i].extent.start <= stretches->end; i++)
		if (windows[i].extent.seen > stretches->end)
			stretches->end = windows[i].extent.seen;
	stretches->next = i;
	return true;
}

// All objects are judged when the first rule asks.
struct waste {
	struct suspects of_kind[WASTE_KINDS];
};

struct judging {
	struct rule_run *run;
	struct heap_reader *reader;
	struct waste *waste;
	const struct graph_walk
		*living; // has met what not only leaked goroutines keep; NULL: there are none
};

// Sorts what an object's words point to by whether somebody sees the word.
struct sorting {
	const struct heap *heap;
	struct stretches stretches;
	uint64_t header;
	HW_VECTOR(node_id) seen;
	bool hides; // some words that nobody sees point to objects
	bool no_memory;
};

static bool sort_words(void *context, const struct word_group *group)
{
	struct sorting *sorting = context;

	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);
		object_id target = heap_find(sorting->heap, group->words[i]);
		uint64_t offset = group->offset + i * 8 - sorting->header;
		if (target == OBJECT_NONE)
			continue;
		while (offset >= sorting->stretches.end && stretches_next(&sorting->stretches))
			;
		if (offset < sorting->stretches.start)
			sorting->hides = true;
		else if (!hw_vector_push(&sorting->seen, target))
			sorting->no_memory = true;
	}
	return !sorting->no_memory;
}

// What hangs below the unseen parts alone.
static struct error *measure_below(const struct judging *judging,
	const struct windowed_object *object, struct retained_part *out)
{
	const struct heap *heap = judging->run->analysis->heap;
	struct sorting sorting = {.heap = heap,
		.stretches = stretches_of(judging->run, object),
		.header = heap_span_of(heap, object->id)->header_bytes};
	struct error *err = NULL;

	stretches_next(&sorting.stretches);
	heap_scan_object(judging->reader, object->id, sort_words, &sorting);
	if (sorting.no_memory)
		err = error_no_memory();
	else if (sorting.hides)
		err = retained_without(
			judging->run, object->id, sorting.seen.items, sorting.seen.count, out);
	hw_vector_deinit(&sorting.seen);
	return err;
}

// What copies of the seen stretches would take.
static uint64_t copies_bytes(const struct judging *judging, const struct windowed_object *object)
{
	const struct heap *heap = judging->run->analysis->heap;
	struct stretches stretches = stretches_of(judging->run, object);
	bool noscan = heap_span_of(heap, object->id)->noscan;
	uint64_t bytes = 0;

	while (stretches_next(&stretches))
		bytes += slot_bytes(heap, stretches.end - stretches.start, noscan);
	return bytes;
}

// Is there nothing but zeros right behind what is in use, and in the middle of the room?
static bool is_untouched(const struct judging *judging, const struct windowed_object *object,
	const struct span *span)
{
	const struct analysis *analysis = judging->run->analysis;
	remote_addr start = heap_address(analysis->heap, object->id) + span->header_bytes;
	struct stretches stretches = stretches_of(judging->run, object);
	uint64_t words[PROBE_WORDS] = {0}, used = 0;

	while (stretches_next(&stretches))
		used = stretches.end;
	remote_addr room = (start + used + 7) & ~UINT64_C(7), end = start + used + object->spare;
	for (unsigned probe = 0; probe < 2; probe++) {
		remote_addr at = probe ? (room + (end - room) / 2) & ~UINT64_C(7) : room;
		size_t bytes = end - at < sizeof(words) ? end - at : sizeof(words);
		target_read_sparse(analysis->runtime->target, at, words, bytes);
		for (size_t i = 0; i < bytes / sizeof(words[0]); i++)
			if (words[i])
				return false;
	}
	return true;
}

// Whether the array itself is worth a word. Room to grow has to be much bigger than what is in it, and bigger than what
// programs are made with on purpose; a buffer that is empty for the moment has to be very big.
static bool is_excessive(const struct judging *judging, const struct windowed_object *object,
	const struct span *span, enum waste_kind kind)
{
	uint64_t unseen = (uint64_t)object->pinned + object->spare;

	if (kind != WASTE_SPARE)
		return true;
	if (!object->viewed)
		return !span->noscan || unseen >= BUFFER_BYTES_MIN;
	if (unseen < ROOM_BYTES_MIN || unseen < (uint64_t)object->viewed * SPARE_RATIO)
		return false;
	return unseen >= (uint64_t)object->viewed * UNTOUCHED_RATIO ||
	       !is_untouched(judging, object, span);
}

// A number for the cause: the same for all that slices of one name refer to, and for all of one type that pointers lead
// into.
static uint64_t cause_hash(const struct rule_run *run, const struct windowed_object *object)
{
	const struct window *window = &run->windows->list.items[object->first];
	char place[sizeof(((struct waste_group *)0)->place)];
	uint64_t hash = 0xcbf29ce484222325; // FNV-1a

	if (window->kind == WINDOW_POINTER)
		return typing_label_of(run->analysis->typing, object->id);
	window_describe(run->analysis, window, place, sizeof(place));
	for (const char *c = place; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 0x100000001b3;
	return hash;
}

static struct error *judge_object(
	const struct judging *judging, const struct windowed_object *object)
{
	const struct analysis *analysis = judging->run->analysis;
	const struct span *span = heap_span_of(analysis->heap, object->id);
	struct retained_part below = {0};
	uint64_t own = 0, whole = span->elem_size;
	bool holds = !span->noscan &&
		     graph_retains(analysis->graph, object->id, whole + BELOW_BYTES_MIN);

	// Most objects go here, before anything dear is asked.
	if ((!holds && (uint64_t)object->pinned + object->spare < WASTE_BYTES_MIN) ||
		(judging->living && !graph_walk_met(judging->living, object->id)) ||
		is_compressors(judging->run, object))
		return NULL;
	enum waste_kind kind = kind_of(judging->run, object);
	if (holds) {
		struct error *err = measure_below(judging, object, &below);
		if (err)
			return err;
	}
	if (is_excessive(judging, object, span, kind)) {
		uint64_t copies = copies_bytes(judging, object);
		own = copies < whole ? whole - copies : 0;
	}
	uint64_t least = below.bytes ? graph_retained(analysis->graph, object->id) / BELOW_PART_MIN
				     : whole / OWN_PART_MIN;
	if (own + below.bytes < least || own + below.bytes < WASTE_BYTES_MIN)
		return NULL;
	suspects_add(
		&judging->waste->of_kind[kind], (struct suspect){.object = object->id,
							.kind = cause_hash(judging->run, object),
							.bytes = own + below.bytes});
	return NULL;
}

// What goroutines keep that nothing can wake goes with them: goroutine-leak tells of it, and asks later.
static struct error *living_find(struct rule_run *run, const struct graph_walk **out)
{
	struct goroutine_evidence *evidence;
	struct error *err = goroutine_evidence(run, &evidence);

	if (!err)
		*out = evidence->forever ? evidence->others : NULL;
	return err;
}

static struct error *waste_judge(struct rule_run *run)
{
	const struct windows *windows = run->windows;
	struct judging judging = {.run = run, .waste = calloc(1, sizeof(*judging.waste))};

	if (!judging.waste)
		return error_no_memory();
	run->waste = judging.waste;
	struct error *err = living_find(run, &judging.living);
	if (!err)
		err = heap_reader_create(run->analysis->heap, &judging.reader);
	for (size_t i = 0; i < windows->objects.count && !err; i++)
		err = judge_object(&judging, &windows->objects.items[i]);
	heap_reader_destroy(judging.reader);
	return err;
}

struct error *waste_find(struct rule_run *run, enum waste_kind kind, struct suspects *out)
{
	struct error *err = run->waste ? NULL : waste_judge(run);

	if (err)
		return err;
	*out = run->waste->of_kind[kind];
	run->waste->of_kind[kind] = (struct suspects){0};
	return suspects_group(out, run);
}

struct error *waste_each(struct rule_run *run, enum waste_kind kind, waste_report *report)
{
	_cleanup_(suspects_deinit) struct suspects suspects = {0};
	struct error *err = waste_find(run, kind, &suspects);

	for (size_t i = 0; i < suspects.groups.count && !err; i++)
		err = report(run, &suspects, &suspects.groups.items[i]);
	return err;
}

void waste_destroy(struct waste *waste)
{
	for (unsigned kind = 0; waste && kind < WASTE_KINDS; kind++)
		suspects_deinit(&waste->of_kind[kind]);
	free(waste);
}

void waste_describe(struct rule_run *run, const struct suspects *suspects,
	const struct suspect_group *group, struct waste_group *out)
{
	*out = (struct waste_group){.objects = group->count};
	for (size_t i = 0; i < group->count; i++) {
		object_id id = suspects->list.items[group->first + i].object;
		out->bytes += heap_size(run->analysis->heap, id);
		out->seen += windows_find(run->windows, id)->viewed;
	}
	const struct windowed_object *example = windows_find(run->windows, group->example->object);
	window_describe(run->analysis, &run->windows->list.items[example->first], out->place,
		sizeof(out->place));
	out->by_pointers = run->windows->list.items[example->first].kind == WINDOW_POINTER;
	out->name = object_type_name(run, example->id);
}
