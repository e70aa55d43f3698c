// Reading snapshots. See snapshot.h.
#include "output/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "base/sections.h"
#include "output/clean.h"
#include "output/names.h"
#include "output/report_store.h"

enum { NODES_MAX = 40 }; // of a path; longer ones lose their middle

bool snapshot_is_likely(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char bytes[8];

	return fd >= 0 && pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) &&
	       sections_are_likely(bytes, sizeof(bytes));
}

static struct error *snapshot_make(struct sections *sections, struct snapshot **out)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot) {
		sections_close(sections);
		return error_no_memory();
	}
	snapshot->sections = sections;
	*out = snapshot;
	return NULL;
}

struct error *snapshot_open(const char *path, struct snapshot **out)
{
	struct sections *sections;
	struct error *err = sections_open(path, &sections);

	return err ? err : snapshot_make(sections, out);
}

struct error *snapshot_open_fd(int fd, struct snapshot **out)
{
	struct sections *sections;
	struct error *err = sections_open_fd(fd, &sections);

	return err ? err : snapshot_make(sections, out);
}

void snapshot_close(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	sections_close(snapshot->sections);
	free(snapshot);
}

struct error *snapshot_report(const struct snapshot *snapshot, struct report **out)
{
	const void *bytes;
	uint64_t size;
	struct error *err = sections_get(snapshot->sections, "report", 1, &bytes, &size);

	if (!err)
		err = report_unpack(bytes, size, out);
	if (!err)
		(*out)->target_kind = "snapshot";
	return err;
}

// Checking.

static bool holders_fit(
	const struct snapshot *snapshot, const struct snapshot_holder *holders, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (holders[i].kind >= snapshot->string_bytes ||
			holders[i].name >= snapshot->string_bytes ||
			holders[i].type >= snapshot->string_bytes)
			return false;
	}
	return true;
}

static bool objects_fit(const struct snapshot *snapshot)
{
	uint64_t nodes = snapshot->object_count + snapshot->holder_count;
	uint64_t dominators = nodes + snapshot->group_count;

	for (uint64_t i = 0; i < snapshot->object_count; i++) {
		const struct snapshot_object *object = &snapshot->objects[i];

		if (object->label >= snapshot->label_count ||
			object->edge >= snapshot->string_bytes ||
			(object->parent != SNAPSHOT_ROOT && object->parent >= nodes) ||
			(object->dominator != SNAPSHOT_ROOT && object->dominator >= dominators) ||
			(i && object[-1].address >= object->address))
			return false;
	}
	return true;
}

static bool edges_fit(const struct snapshot *snapshot, uint64_t starts)
{
	if (starts != snapshot->object_count + snapshot->holder_count + 1 ||
		snapshot->edge_starts[starts - 1] != snapshot->edge_count)
		return false;
	for (uint64_t i = 1; i < starts; i++) {
		if (snapshot->edge_starts[i - 1] > snapshot->edge_starts[i])
			return false;
	}
	for (uint64_t i = 0; i < snapshot->edge_count; i++) {
		if (snapshot->edges[i] >= snapshot->object_count)
			return false;
	}
	return true;
}

static bool maps_fit(const struct snapshot *snapshot)
{
	for (uint64_t i = 0; i < snapshot->map_count; i++) {
		const struct snapshot_map *map = &snapshot->maps[i];

		if (map->object >= snapshot->object_count || (i && map[-1].object >= map->object))
			return false;
	}
	return true;
}

static bool tables_fit(const struct snapshot *snapshot, uint64_t starts)
{
	if (!snapshot->string_bytes || snapshot->strings[snapshot->string_bytes - 1] ||
		snapshot->object_count + snapshot->holder_count + snapshot->group_count >=
			UINT32_MAX)
		return false;
	for (uint64_t i = 0; i < snapshot->label_count; i++) {
		if (snapshot->labels[i] >= snapshot->string_bytes)
			return false;
	}
	return objects_fit(snapshot) && edges_fit(snapshot, starts) && maps_fit(snapshot) &&
	       holders_fit(snapshot, snapshot->holders, snapshot->holder_count) &&
	       holders_fit(snapshot, snapshot->groups, snapshot->group_count);
}

struct error *snapshot_load(struct snapshot *snapshot)
{
	uint64_t starts = 0;
	const struct {
		const char *name;
		size_t size;
		const void **items;
		uint64_t *count;
	} sections[] = {
		{"objects", sizeof(*snapshot->objects), (const void **)&snapshot->objects,
			&snapshot->object_count},
		{"holders", sizeof(*snapshot->holders), (const void **)&snapshot->holders,
			&snapshot->holder_count},
		{"groups", sizeof(*snapshot->groups), (const void **)&snapshot->groups,
			&snapshot->group_count},
		{"labels", sizeof(*snapshot->labels), (const void **)&snapshot->labels,
			&snapshot->label_count},
		{"edge_starts", sizeof(*snapshot->edge_starts),
			(const void **)&snapshot->edge_starts, &starts},
		{"edges", sizeof(*snapshot->edges), (const void **)&snapshot->edges,
			&snapshot->edge_count},
		{"maps", sizeof(*snapshot->maps), (const void **)&snapshot->maps,
			&snapshot->map_count},
		{"strings", 1, (const void **)&snapshot->strings, &snapshot->string_bytes},
	};

	for (size_t i = 0; i < ARRAY_COUNT(sections); i++) {
		struct error *err = sections_get(snapshot->sections, sections[i].name,
			sections[i].size, sections[i].items, sections[i].count);
		if (err)
			return err;
	}
	if (tables_fit(snapshot, starts))
		return NULL;
	return error_create(ERROR_TARGET, "the snapshot is damaged: its tables make no sense");
}

// Paths.

struct search {
	const struct snapshot *snapshot;
	struct paths *paths;
	uint8_t *meant;  // for each object, below
	uint32_t *found; // the largest ones first
	uint32_t found_count, most;
};

enum { MEANT = 1, INNER = 2, OUTER = 4 }; // of the type; some dominator is, too; none is

static void found_offer(struct search *search, uint32_t object)
{
	const struct snapshot_object *objects = search->snapshot->objects;
	uint32_t at = search->found_count;

	if (at == search->most) {
		if (objects[search->found[at - 1]].retained_bytes >= objects[object].retained_bytes)
			return;
		at--;
	} else {
		search->found_count++;
	}
	for (; at > 0 &&
		objects[search->found[at - 1]].retained_bytes < objects[object].retained_bytes;
		at--)
		search->found[at] = search->found[at - 1];
	search->found[at] = object;
}

static struct error *address_find(struct search *search, uint64_t address)
{
	const struct snapshot *snapshot = search->snapshot;
	size_t at = FIRST_WHERE(i, snapshot->object_count, snapshot->objects[i].address > address);

	if (!at || address - snapshot->objects[at - 1].address >= snapshot->objects[at - 1].bytes)
		return error_create(ERROR_TARGET,
			"0x%" PRIx64 ": there is no live object of Go's heap", address);
	found_offer(search, (uint32_t)at - 1);
	search->paths->object_count = 1;
	search->paths->retained_bytes = snapshot->objects[at - 1].retained_bytes;
	return NULL;
}

static bool name_is_meant(const char *name, const char *subject)
{
	_cleanup_text_ struct text plain = TEXT_INIT;

	name_append_plain(&plain, name);
	return !strcmp(name, subject) || !strcmp(plain.bytes, subject);
}

static struct error *objects_mean(struct search *search, const char *subject)
{
	const struct snapshot *snapshot = search->snapshot;
	_cleanup_free_ bool *labels = calloc(snapshot->label_count + 1, sizeof(*labels));

	if (!labels)
		return error_no_memory();
	for (uint64_t i = 0; i < snapshot->label_count; i++)
		labels[i] = name_is_meant(snapshot->strings + snapshot->labels[i], subject);
	for (uint64_t i = 0; i < snapshot->object_count; i++) {
		if (labels[snapshot->objects[i].label]) {
			search->meant[i] = MEANT;
			search->paths->object_count++;
		}
	}
	return NULL;
}

// An element of a list leads to the next one: only those that no other one of the type dominates are
// worth a path. Each object is walked over once: what is known of a dominator holds for all below.
static void outermost_offer(struct search *search)
{
	const struct snapshot *snapshot = search->snapshot;
	const struct snapshot_object *objects = snapshot->objects;

	for (uint64_t i = 0; i < snapshot->object_count; i++) {
		uint64_t at = i, steps = 0;

		while (at < snapshot->object_count && !(search->meant[at] & (INNER | OUTER)) &&
			steps++ <= snapshot->object_count) {
			at = objects[at].dominator;
			if (at < snapshot->object_count && search->meant[at] & MEANT)
				break;
		}
		bool inner = at < snapshot->object_count && at != i &&
			     search->meant[at] & (MEANT | INNER);
		for (uint64_t below = i; below != at && below < snapshot->object_count &&
					 !(search->meant[below] & (INNER | OUTER));
			below = objects[below].dominator)
			search->meant[below] |= inner ? INNER : OUTER;
		if ((search->meant[i] & (MEANT | OUTER)) == (MEANT | OUTER))
			found_offer(search, (uint32_t)i);
	}
}

// What would go if all that are meant went: everything that cannot be reached without them.
static struct error *retained_by_meant(struct search *search)
{
	const struct snapshot *snapshot = search->snapshot;
	uint64_t nodes = snapshot->object_count + snapshot->holder_count;
	_cleanup_free_ uint8_t *seen = calloc(snapshot->object_count + 1, 1);
	_cleanup_free_ uint32_t *queue = malloc((nodes + 1) * sizeof(*queue));
	uint64_t count = 0, total = 0;

	if (!seen || !queue)
		return error_no_memory();
	for (uint64_t i = snapshot->object_count; i < nodes; i++)
		queue[count++] = (uint32_t)i;
	while (count) {
		uint32_t node = queue[--count];

		for (uint64_t i = snapshot->edge_starts[node]; i < snapshot->edge_starts[node + 1];
			i++) {
			uint32_t target = snapshot->edges[i];

			if (seen[target] || search->meant[target] & MEANT)
				continue;
			seen[target] = 1;
			queue[count++] = target;
		}
	}
	for (uint64_t i = 0; i < snapshot->object_count; i++)
		total += seen[i] ? 0 : snapshot->objects[i].bytes;
	search->paths->retained_bytes = total;
	return NULL;
}

static struct error *type_find(struct search *search, const char *subject)
{
	struct error *err = objects_mean(search, subject);

	if (err)
		return err;
	if (!search->paths->object_count)
		return error_create(ERROR_TARGET,
			"%s: neither an address (0x...) nor the type of a live object; 'heapwhy "
			"TARGET' lists types",
			search->paths->subject);
	outermost_offer(search);
	return retained_by_meant(search);
}

static const char *string_clean(
	const struct snapshot *snapshot, struct hw_arena *arena, uint32_t offset)
{
	return clean_string(arena, snapshot->strings + offset);
}

const struct snapshot_holder *snapshot_holder(const struct snapshot *snapshot, uint32_t node)
{
	uint64_t number = node - snapshot->object_count;

	return number < snapshot->holder_count ? &snapshot->holders[number]
					       : &snapshot->groups[number - snapshot->holder_count];
}

static bool node_fill(const struct snapshot *snapshot, struct hw_arena *arena, uint32_t number,
	bool after_gap, struct path_node *out)
{
	if (number >= snapshot->object_count) {
		const struct snapshot_holder *holder = snapshot_holder(snapshot, number);

		*out = (struct path_node){string_clean(snapshot, arena, holder->kind),
			string_clean(snapshot, arena, holder->name),
			string_clean(snapshot, arena, holder->type), holder->address};
	} else {
		const struct snapshot_object *object = &snapshot->objects[number];

		*out = (struct path_node){"object",
			after_gap ? "" : string_clean(snapshot, arena, object->edge),
			string_clean(snapshot, arena, snapshot->labels[object->label]),
			object->address};
	}
	return out->kind && out->name && out->type;
}

// Parents are followed twice: to count them, and to fill in those that are shown. A ring of parents,
// which no heap has, ends when it is longer than there are objects.
struct error *snapshot_path(const struct snapshot *snapshot, struct hw_arena *arena, uint32_t node,
	uint32_t most, struct node_path *out)
{
	uint64_t length = 1, nodes = snapshot->object_count;
	uint32_t at = node;

	while (at < nodes && snapshot->objects[at].parent != SNAPSHOT_ROOT && length <= nodes) {
		at = snapshot->objects[at].parent;
		length++;
	}
	if (at < nodes)
		return error_create(
			ERROR_TARGET, "the snapshot is damaged: no root leads to an object");
	uint64_t skipped = length > most ? length - most : 0;
	struct node_path path = {
		.nodes = hw_arena_calloc(arena, length - skipped, sizeof(*path.nodes)),
		.count = (uint32_t)(length - skipped),
		.skip_at = skipped ? most / 2 : 0,
		.skipped = skipped,
	};
	bool done = path.nodes != NULL;
	at = node;
	for (uint64_t depth = length; depth-- > 0 && done;) {
		bool behind = depth >= path.skip_at + skipped;

		if (behind || depth < path.skip_at)
			done = node_fill(snapshot, arena, at,
				skipped && depth == path.skip_at + skipped,
				&path.nodes[behind ? depth - skipped : depth]);
		if (depth)
			at = snapshot->objects[at].parent;
	}
	if (!done)
		return error_no_memory();
	*out = path;
	return NULL;
}

static struct error *paths_fill(struct search *search, const char *subject)
{
	struct paths *paths = search->paths;
	struct error *err;
	char *end;

	errno = 0;
	uint64_t address = strncasecmp(subject, "0x", 2) ? 0 : strtoull(subject, &end, 16);
	err = !strncasecmp(subject, "0x", 2) && !*end && !errno ? address_find(search, address)
								: type_find(search, subject);
	for (uint32_t i = 0; i < search->found_count && !err; i++) {
		const struct snapshot_object *object = &search->snapshot->objects[search->found[i]];

		paths->list[i] = (struct object_path){
			.address = object->address,
			.bytes = object->bytes,
			.retained_bytes = object->retained_bytes,
			.type = string_clean(search->snapshot, &paths->arena,
				search->snapshot->labels[object->label]),
		};
		err = paths->list[i].type
			      ? snapshot_path(search->snapshot, &paths->arena, search->found[i],
					NODES_MAX, &paths->list[i].path)
			      : error_no_memory();
		paths->count++;
	}
	return err;
}

struct error *snapshot_paths(
	struct snapshot *snapshot, const char *subject, uint32_t most, struct paths **out)
{
	struct error *err = snapshot_load(snapshot);

	if (err)
		return err;
	_cleanup_free_ uint8_t *meant = calloc(snapshot->object_count + 1, 1);
	_cleanup_free_ uint32_t *found = calloc((size_t)most + 1, sizeof(*found));
	struct paths *paths = calloc(1, sizeof(*paths));
	if (!meant || !found || !paths) {
		free(paths);
		return error_no_memory();
	}
	hw_arena_init(&paths->arena, 0);
	struct search search = {snapshot, paths, meant, found, 0, most};
	paths->subject = clean_string(&paths->arena, subject);
	paths->list = hw_arena_calloc(&paths->arena, most, sizeof(*paths->list));
	err = paths->subject && paths->list ? paths_fill(&search, subject) : error_no_memory();
	if (err)
		paths_destroy(paths);
	else
		*out = paths;
	return err;
}
