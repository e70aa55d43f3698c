// The references that window_scan.c found, put in order by object, and measured.
#include "ledger/windows.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "ledger/window_scan.h"

// Makes the list of objects. All of them have spare or pinned bytes. This is where the report needs most memory.
static bool measure_all(struct window_scan *scan, struct windows *out)
{
	hw_stable_vector_shrink(&out->list);
	const struct window *windows = out->list.items;

	for (size_t first = 0; first < out->list.count;) {
		size_t count = windows_of_object(windows + first, out->list.count - first);
		struct windowed_object object;
		uint64_t rounding = window_measure(scan, windows + first, count, &object);
		object.first = (uint32_t)first;
		window_see_whole(scan, object.id, true);
		out->rounding_bytes += rounding;
		out->spare_bytes += object.spare;
		out->pinned_bytes += object.pinned;
		if (!hw_stable_vector_push(&out->objects, object))
			return false;
		first += count;
	}
	return true;
}

static void count_unjudged(
	const struct analysis *analysis, const struct window_scan *scan, struct windows *out)
{
	for (uint32_t i = 0; i < analysis->heap->span_count; i++) {
		const struct span *span = &analysis->heap->spans[i];
		for (object_id id = span->first; id < span->first + span->count; id++) {
			if (window_seen(scan, id) & SEEN_SURELY)
				continue;
			out->unjudged_objects++;
			out->unjudged_bytes += span->elem_size;
		}
	}
}

static struct error *windows_build(
	struct analysis *analysis, struct window_scan *scan, unsigned threads, struct windows *out)
{
	struct error *err = window_scan_run(scan, analysis, threads);

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
	struct window_scan scan = {.windows = &windows->list};
	struct error *err =
		windows_build(analysis, &scan, threads ? threads : analysis->threads, windows);
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
