// The references that window_scan.c found, put in order by object, and measured.
#include "ledger/windows.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "base/together.h"
#include "ledger/window_scan.h"

enum { THREADS_MAX = 4, SEEN_IN_WORD = 32 };

#define SEEN_SURELY_ALL UINT64_C(0xaaaaaaaaaaaaaaaa) // SEEN_SURELY of each object of a word

// A part of the windows, all of those of its objects.
struct measuring {
	struct window_scan *scan;
	struct windows *out;
	size_t first, end;                // in out->list
	struct windowed_object *objects;  // of the part
	uint64_t rounding, spare, pinned; // bytes
};

static size_t objects_count(const struct window *windows, size_t count)
{
	size_t objects = count > 0;

	for (size_t i = 1; i < count; i++)
		objects += windows[i].object != windows[i - 1].object;
	return objects;
}

static void measure_run(void *job)
{
	struct measuring *part = job;
	const struct window *windows = part->out->list.items;
	struct windowed_object *object = part->objects;
	const struct span *span = NULL;

	for (size_t first = part->first, count; first < part->end; first += count, object++) {
		count = windows_of_object(windows + first, part->end - first);
		part->rounding += window_measure(part->scan, windows + first, count, &span, object);
		object->first = (uint32_t)first;
		window_see_whole(part->scan, object->id, true);
		part->spare += object->spare;
		part->pinned += object->pinned;
	}
}

// Makes the list of objects. All of them have spare or pinned bytes. This is where the report needs most memory.
static bool measure_all(struct window_scan *scan, struct windows *out)
{
	struct measuring parts[TOGETHER_MAX];
	size_t end = 0;

	hw_stable_vector_shrink(&out->list);
	const struct window *windows = out->list.items;
	if (!hw_stable_vector_reserve(&out->objects, objects_count(windows, out->list.count)))
		return false;
	for (unsigned i = 0; i < scan->threads; i++) {
		struct measuring *part = &parts[i];
		*part = (struct measuring){.scan = scan,
			.out = out,
			.first = end,
			.objects = out->objects.items + out->objects.count};
		end = out->list.count * (i + 1) / scan->threads;
		while (end > part->first && end < out->list.count &&
			windows[end].object == windows[end - 1].object)
			end++;
		part->end = end;
		out->objects.count += objects_count(windows + part->first, end - part->first);
	}
	together(measure_run, parts, scan->threads, sizeof(parts[0]));
	for (unsigned i = 0; i < scan->threads; i++) {
		out->rounding_bytes += parts[i].rounding;
		out->spare_bytes += parts[i].spare;
		out->pinned_bytes += parts[i].pinned;
	}
	return true;
}

// Of how many of the span's objects all is known.
static uint64_t windows_surely_seen(const struct window_scan *scan, const struct span *span)
{
	uint64_t count = 0, end = (uint64_t)span->first + span->count;

	for (uint64_t id = span->first, next; id < end; id = next) {
		next = (id | (SEEN_IN_WORD - 1)) + 1;
		uint64_t word = scan->seen[id / SEEN_IN_WORD] >> id % SEEN_IN_WORD * 2;
		if (next > end)
			word &= (UINT64_C(1) << (end - id) * 2) - 1;
		count += (uint64_t)__builtin_popcountll(word & SEEN_SURELY_ALL);
	}
	return count;
}

static void count_unjudged(
	const struct analysis *analysis, const struct window_scan *scan, struct windows *out)
{
	for (uint32_t i = 0; i < analysis->heap->span_count; i++) {
		const struct span *span = &analysis->heap->spans[i];
		uint64_t unjudged = span->count - windows_surely_seen(scan, span);
		out->unjudged_objects += unjudged;
		out->unjudged_bytes += unjudged * span->elem_size;
	}
}

static struct error *windows_build(
	struct analysis *analysis, struct window_scan *scan, struct windows *out)
{
	struct error *err = window_scan_run(scan, analysis);

	if (!err && out->list.count > UINT32_MAX)
		err = error_create(ERROR_TARGET, "the heap has too many references");
	if (!err) {
		windows_settle(scan);
		err = windows_hide(scan);
	}
	if (!err && !measure_all(scan, out))
		err = error_no_memory();
	if (err)
		return err;
	count_unjudged(analysis, scan, out);
	out->map_arrays = take_pointer(scan->map_arrays);
	out->map_used_bytes = scan->map_used_bytes;
	out->map_slack_bytes = scan->map_slack_bytes;
	return NULL;
}

struct error *windows_open(struct analysis *analysis, unsigned threads, struct windows **out)
{
	struct windows *windows = calloc(1, sizeof(*windows));

	if (!windows)
		return error_no_memory();
	hw_stable_vector_init(&windows->list, 0, NULL);
	hw_stable_vector_init(&windows->objects, 0, NULL);
	threads = threads ? threads : analysis->threads;
	struct window_scan scan = {.windows = &windows->list,
		.threads = threads < THREADS_MAX ? threads : THREADS_MAX};
	struct error *err = windows_build(analysis, &scan, windows);
	window_scan_deinit(&scan);
	if (err) {
		windows_close(windows);
		return error_wrap(err, "finding out what is still seen");
	}
	*out = windows;
	return NULL;
}

void windows_close(struct windows *windows)
{
	if (!windows)
		return;
	hw_stable_vector_deinit(&windows->list);
	hw_stable_vector_deinit(&windows->objects);
	free(windows->map_arrays);
	free(windows);
}

const struct windowed_object *windows_from(const struct windows *windows, object_id id)
{
	size_t at = FIRST_WHERE(i, windows->objects.count, windows->objects.items[i].id >= id);

	return windows->objects.items + at;
}

const struct windowed_object *windows_find(const struct windows *windows, object_id id)
{
	const struct windowed_object *object = windows_from(windows, id);
	const struct windowed_object *end = windows->objects.items + windows->objects.count;

	return object < end && object->id == id ? object : NULL;
}
