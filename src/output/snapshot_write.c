// From an analysis to a snapshot's tables. See snapshot.h.
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/sections.h"
#include "goruntime/map_occupancy.h"
#include "heapwhy/map.h"
#include "output/clean.h"
#include "output/holder_names.h"
#include "output/report_store.h"
#include "output/snapshot.h"

enum {
	REPORT_PATHS = 100,
	CANCEL_INTERVAL = 4096,
	MAP_BYTES_MIN = 16 << 10,
	MEMORY_CACHE_BYTES = 1 << 20
};

struct writing {
	struct analysis *analysis;
	uint32_t *numbers; // of each object id: its number among the live ones
	uint32_t count;
	HW_VECTOR(struct snapshot_object) objects;
	HW_VECTOR(struct snapshot_holder) holders;
	HW_VECTOR(struct snapshot_holder) groups;
	HW_VECTOR(uint32_t) labels;
	HW_VECTOR(struct snapshot_map) maps;
	HW_VECTOR(uint64_t) edge_starts;
	HW_VECTOR(uint32_t) edges;
	struct text strings;
	struct hw_map known; // hash of a string -> its offset
	bool failed;         // out of memory
};

// FNV-1a.
static uint64_t string_hash(const char *string)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *string; string++)
		hash = (hash ^ (uint8_t)*string) * UINT64_C(0x100000001b3);
	return hash;
}

// The offset of a string, which is written once; of the empty one for want of room.
static uint32_t string_add(struct writing *writing, const char *string)
{
	uint64_t offset, hash = string_hash(string);

	if (hw_map_get(&writing->known, hash, &offset) &&
		!strcmp(writing->strings.bytes + offset, string))
		return (uint32_t)offset;
	offset = writing->strings.length;
	if (offset + strlen(string) >= UINT32_MAX)
		return 0;
	text_append_bytes(&writing->strings, string, strlen(string) + 1);
	if (writing->strings.failed || !hw_map_put(&writing->known, hash, offset)) {
		writing->failed = true;
		return 0;
	}
	return (uint32_t)offset;
}

// Nodes of the graph are objects, holders, groups, the root; ours are live objects, holders, groups.
static uint32_t node_number(const struct writing *writing, node_id node)
{
	const struct analysis *analysis = writing->analysis;
	node_id holder = graph_holder_node(analysis->graph, 0);
	node_id group = graph_group_node(analysis->graph, 0);

	if (node == NODE_NONE || node == graph_root_node(analysis->graph))
		return SNAPSHOT_ROOT;
	if (node < analysis->heap->object_count)
		return writing->numbers[node];
	if (node < group)
		return writing->count + (node - holder);
	return writing->count + analysis->root_holder_count + (node - group);
}

static bool edge_add(void *context, node_id target)
{
	struct writing *writing = context;
	const struct analysis *analysis = writing->analysis;

	if (target < analysis->heap->object_count &&
		heap_bit(graph_reached(analysis->graph), target) &&
		!hw_vector_push(&writing->edges, writing->numbers[target]))
		writing->failed = true;
	return !writing->failed;
}

static void edges_add(struct writing *writing, node_id node)
{
	if (!hw_vector_push(&writing->edge_starts, writing->edges.count))
		writing->failed = true;
	graph_successors(writing->analysis->graph, node, edge_add, writing);
}

static bool numbers_make(struct writing *writing)
{
	const struct heap *heap = writing->analysis->heap;
	const uint64_t *reached = graph_reached(writing->analysis->graph);

	writing->numbers = malloc(((size_t)heap->object_count + 1) * sizeof(uint32_t));
	if (!writing->numbers)
		return false;
	for (object_id id = 0; id < heap->object_count; id++)
		writing->numbers[id] = heap_bit(reached, id) ? writing->count++ : SNAPSHOT_ROOT;
	return true;
}

static void object_add(struct writing *writing, object_id id)
{
	struct analysis *analysis = writing->analysis;
	node_id parent = graph_parent(analysis->graph, id);
	char edge[200] = "";

	if (parent >= analysis->heap->object_count && parent != NODE_NONE)
		holder_edge_name(analysis, parent, id, edge, sizeof(edge));
	struct snapshot_object object = {
		.address = heap_address(analysis->heap, id),
		.bytes = heap_size(analysis->heap, id),
		.retained_bytes = heap_size(analysis->heap, id),
		.label = typing_label_of(analysis->typing, id),
		.parent = node_number(writing, parent),
		.edge = string_add(writing, edge),
		.dominator = node_number(writing, graph_dominator(analysis->graph, id)),
	};
	if (!hw_vector_push(&writing->objects, object))
		writing->failed = true;
	edges_add(writing, id);
}

static struct error *objects_add(struct writing *writing)
{
	const struct heap *heap = writing->analysis->heap;

	for (object_id id = 0; id < heap->object_count && !writing->failed; id++) {
		if (id % CANCEL_INTERVAL == 0 && cancel_requested())
			return error_cancelled();
		if (writing->numbers[id] != SNAPSHOT_ROOT)
			object_add(writing, id);
	}
	return NULL;
}

// How the parent refers to an object, unless that is known.
static bool edge_names_add(void *context, const struct word_group *group)
{
	struct writing *writing = context;
	const struct analysis *analysis = writing->analysis;

	for (uint64_t left = group->pointers; left && !writing->failed; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		object_id to = heap_find(analysis->heap, group->words[i]);
		char edge[200];

		if (to == OBJECT_NONE || writing->numbers[to] == SNAPSHOT_ROOT)
			continue;
		struct snapshot_object *object = &writing->objects.items[writing->numbers[to]];
		if (object->edge || object->parent != writing->numbers[group->object])
			continue;
		typing_word(analysis->typing, group->object, group->offset + 8 * (uint64_t)i, edge,
			sizeof(edge));
		object->edge = string_add(writing, edge);
	}
	return !writing->failed;
}

// All parents are read once: asking for the edge to each element of a large array would read the array as
// often as it has elements.
static struct error *edges_name(struct writing *writing)
{
	const struct heap *heap = writing->analysis->heap;
	const uint64_t *reached = graph_reached(writing->analysis->graph);
	struct heap_reader *reader = NULL;
	struct error *err = heap_reader_create(heap, &reader);

	for (uint32_t i = 0; i < heap->span_count && !err && !writing->failed; i++) {
		if (cancel_requested())
			err = error_cancelled();
		else
			heap_scan_span(reader, &heap->spans[i], reached, edge_names_add, writing);
	}
	heap_reader_destroy(reader);
	return err;
}

// Sums sizes up the tree of dominators, leaves first. Asking the graph would walk long lists once for
// each of their elements.
static bool retained_sum(struct writing *writing)
{
	struct snapshot_object *objects = writing->objects.items;
	_cleanup_free_ uint32_t *below = calloc((size_t)writing->count + 1, sizeof(*below));

	if (!below)
		return false;
	for (uint32_t i = 0; i < writing->count; i++) {
		if (objects[i].dominator < writing->count)
			below[objects[i].dominator]++;
	}
	for (uint32_t i = 0; i < writing->count; i++) {
		// From a leaf upwards, as long as everything below is summed up.
		for (uint32_t at = i, up; below[at] == 0; at = up) {
			up = objects[at].dominator;
			below[at] = UINT32_MAX; // done
			if (up >= writing->count)
				break;
			objects[up].retained_bytes += objects[at].retained_bytes;
			below[up]--;
		}
	}
	return true;
}

static struct snapshot_holder holder_make(
	struct writing *writing, const struct holder *holder, remote_addr address)
{
	const struct analysis *analysis = writing->analysis;
	const struct go_type *type = holder->named ? holder->global.type : NULL;
	_cleanup_text_ struct text name = TEXT_INIT;

	holder_name_append(&name, analysis, holder);
	writing->failed |= name.failed;
	return (struct snapshot_holder){
		.kind = string_add(writing, holder_kind_name(holder->kind)),
		.name = string_add(writing, name.bytes),
		.type = string_add(writing, type ? type->name : ""),
		.address = address,
		.retained_bytes = graph_retained(analysis->graph, holder->node),
	};
}

static void holders_add(struct writing *writing)
{
	const struct analysis *analysis = writing->analysis;
	node_id first = graph_holder_node(analysis->graph, 0);

	for (uint32_t i = 0; i < analysis->holder_count; i++) {
		if (!hw_vector_push(
			    &writing->groups, holder_make(writing, &analysis->holders[i], 0)))
			writing->failed = true;
	}
	for (uint32_t i = 0; i < analysis->root_holder_count && !writing->failed; i++) {
		const struct root_holder *fine = &analysis->root_holders[i];
		struct snapshot_holder holder = writing->groups.items[fine->holder];

		if (fine->goroutine == UINT32_MAX && fine->first_root != UINT32_MAX)
			holder.address = analysis->roots.list.items[fine->first_root].slot;
		holder.retained_bytes = graph_retained(analysis->graph, first + i);
		if (!hw_vector_push(&writing->holders, holder))
			writing->failed = true;
		edges_add(writing, first + i);
	}
	if (!hw_vector_push(&writing->edge_starts, writing->edges.count))
		writing->failed = true;
}

static void labels_add(struct writing *writing)
{
	const struct typing *typing = writing->analysis->typing;

	for (uint32_t i = 0; i < typing_label_count(typing); i++) {
		uint32_t name = string_add(writing, typing_label_name(typing, i));

		if (!hw_vector_push(&writing->labels, name))
			writing->failed = true;
	}
}

static struct error *maps_add(struct writing *writing)
{
	const struct analysis *analysis = writing->analysis;
	struct memory memory;
	struct error *err = memory_init(&memory, analysis->target, MEMORY_CACHE_BYTES);

	for (object_id id = 0; !err && id < analysis->heap->object_count; id++) {
		uint32_t number = writing->numbers[id];
		struct object_type type;
		struct map_occupancy map;

		if (number == SNAPSHOT_ROOT ||
			writing->objects.items[number].retained_bytes < MAP_BYTES_MIN)
			continue;
		typing_of(analysis->typing, id, &type);
		if (type.source == TYPED_EXACT && !type.array && type.type &&
			type_is_map_header(type.type) &&
			map_occupancy(analysis->heap, analysis->typing, &memory, id, &map) &&
			!hw_vector_push(&writing->maps,
				((struct snapshot_map){.entries = map.entries, .object = number})))
			err = error_no_memory();
	}
	memory_deinit(&memory);
	return err;
}

static struct error *tables_make(struct writing *writing)
{
	if (!numbers_make(writing))
		return error_no_memory();
	string_add(writing, "");
	labels_add(writing);
	struct error *err = objects_add(writing);
	if (!err)
		err = edges_name(writing);
	if (err)
		return err;
	holders_add(writing);
	if (writing->failed || writing->strings.failed || !retained_sum(writing))
		return error_no_memory();
	return maps_add(writing);
}

static struct error *sections_write(
	const struct writing *writing, const struct text *report, int fd)
{
	const struct {
		const char *name;
		const void *items;
		size_t size, count;
	} sections[] = {
		{"report", report->bytes, 1, report->length},
		{"objects", writing->objects.items, sizeof(struct snapshot_object),
			writing->objects.count},
		{"holders", writing->holders.items, sizeof(struct snapshot_holder),
			writing->holders.count},
		{"groups", writing->groups.items, sizeof(struct snapshot_holder),
			writing->groups.count},
		{"labels", writing->labels.items, sizeof(uint32_t), writing->labels.count},
		{"edge_starts", writing->edge_starts.items, sizeof(uint64_t),
			writing->edge_starts.count},
		{"maps", writing->maps.items, sizeof(struct snapshot_map), writing->maps.count},
		{"edges", writing->edges.items, sizeof(uint32_t), writing->edges.count},
		{"strings", writing->strings.bytes, 1, writing->strings.length},
	};
	struct sections_writer writer;
	struct error *err = NULL;

	sections_begin(&writer, fd);
	for (size_t i = 0; i < ARRAY_COUNT(sections) && !err; i++)
		err = sections_add(&writer, sections[i].name, sections[i].items, sections[i].size,
			sections[i].count);
	return err ? err : sections_end(&writer);
}

// The report comes last: making it lets the target go.
struct error *snapshot_write(struct analysis *analysis, int fd)
{
	struct report_options options = {.paths = REPORT_PATHS};
	struct writing writing = {.analysis = analysis, .strings = TEXT_INIT};
	_cleanup_text_ struct text packed = TEXT_INIT;
	struct report *report;

	hw_map_init(&writing.known);
	struct error *err = tables_make(&writing);
	if (!err)
		err = report_build(analysis, &options, &report);
	if (!err) {
		report_pack(report, &packed);
		report_destroy(report);
		err = packed.failed ? error_no_memory() : sections_write(&writing, &packed, fd);
	}
	free(writing.numbers);
	hw_vector_deinit(&writing.objects);
	hw_vector_deinit(&writing.holders);
	hw_vector_deinit(&writing.groups);
	hw_vector_deinit(&writing.labels);
	hw_vector_deinit(&writing.maps);
	hw_vector_deinit(&writing.edge_starts);
	hw_vector_deinit(&writing.edges);
	hw_map_deinit(&writing.known);
	text_deinit(&writing.strings);
	return err;
}
