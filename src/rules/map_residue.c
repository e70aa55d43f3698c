// map-residue: maps that were big once.
//
// Deleting frees what keys and values point to, but a map never gives its own memory back (runtime/map.go to 1.23;
// internal/runtime/maps from 1.24: clear() keeps it, too). That is memory for entries to come, and one look cannot know
// whether they will: suspected, and only where a new map with the same entries would take a fifth. A map that is growing
// needs half to a quarter of its memory, one whose entries come and go a quarter at worst (1.24). One that was made for more
// than it holds yet does not show what deleting leaves behind.
//
// One that is emptied and one of its size that is full, side by side, take turns: what is counted now, and what was
// counted in the last interval.
#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "goruntime/map_occupancy.h"
#include "heapwhy/map.h"
#include "rules/objects.h"
#include "rules/suspects.h"

enum {
	REBUILT_RATIO = 5,
	EACH_BYTES_MIN = 1 << 10,
	MAP_BYTES_MIN = 128 << 10, // of one map
	MAPS_BYTES_MIN = 1 << 20,  // of many small ones
	EMPTY_BYTES_MIN = 1 << 20,
	TURNS_MAX = 3,       // so many maps that take turns
	FILLED_PART_MIN = 2, // of the emptied one's memory, half would be needed
	SHRUNKEN_PART_MIN = 4,
	NEAR_BYTES = 64,    // between global words
	FRAME_BYTES = 1024, // between maps in one frame
	MEMORY_CACHE_BYTES = 1 << 20
};

struct maps {
	struct rule_run *run;
	struct memory memory;
	struct suspects suspects;
	struct hw_map shrunken; // suspects that show that they had more entries
	bool no_memory;
};

static bool map_pick(void *context, object_id object)
{
	const struct maps *maps = context;
	struct object_type type;

	typing_of(maps->run->analysis->typing, object, &type);
	return type.source == TYPED_EXACT && !type.array && type_is_map_header(type.type);
}

// The maps of one kind that somebody refers to.
struct siblings {
	struct maps *maps;
	uint32_t label;
	unsigned count;
	uint64_t most_needed; // bytes that the entries of one would take in a new map
};

static bool sibling_look(void *context, node_id node)
{
	struct siblings *siblings = context;
	const struct analysis *analysis = siblings->maps->run->analysis;
	struct map_occupancy map;

	if (node >= analysis->heap->object_count ||
		typing_label_of(analysis->typing, node) != siblings->label)
		return true;
	if (++siblings->count > TURNS_MAX)
		return false;
	if (map_occupancy(analysis->heap, analysis->typing, &siblings->maps->memory, node, &map) &&
		map.rebuilt_bytes > siblings->most_needed)
		siblings->most_needed = map.rebuilt_bytes;
	return true;
}

// Words of one global variable; without names, words that lie close together.
static bool are_neighbours(const struct analysis *analysis, const struct root_holder *one,
	const struct root_holder *other)
{
	const struct root *roots = analysis->roots.list.items;

	if (one->holder == other->holder)
		return true;
	if (one->first_root == UINT32_MAX || other->first_root == UINT32_MAX ||
		roots[other->first_root].kind != ROOT_GLOBAL)
		return false;
	remote_addr slot = roots[one->first_root].slot;
	return roots[other->first_root].slot - slot + NEAR_BYTES <= 2 * NEAR_BYTES;
}

// What refers to the map, and refers to others beside it: an object, a goroutine, or a global variable.
static void siblings_find(struct siblings *siblings, object_id object)
{
	struct analysis *analysis = siblings->maps->run->analysis;
	node_id parent = graph_parent(analysis->graph, object);
	uint32_t fine = parent - graph_holder_node(analysis->graph, 0);
	const struct root_holder *holders = analysis->root_holders;

	if (parent < analysis->heap->object_count || fine >= analysis->root_holder_count ||
		analysis->holders[holders[fine].holder].kind != HOLDER_GLOBAL) {
		graph_successors(analysis->graph, parent, sibling_look, siblings);
		return;
	}
	for (uint32_t i = 0; i < analysis->root_holder_count && siblings->count <= TURNS_MAX; i++)
		if (are_neighbours(analysis, &holders[fine], &holders[i]))
			graph_successors(analysis->graph, graph_holder_node(analysis->graph, i),
				sibling_look, siblings);
}

static bool takes_turns(struct maps *maps, object_id object, const struct map_occupancy *map)
{
	struct siblings siblings = {
		.maps = maps, .label = typing_label_of(maps->run->analysis->typing, object)};

	siblings_find(&siblings, object);
	return siblings.count <= TURNS_MAX && siblings.most_needed >= map->bytes / FILLED_PART_MIN;
}

static bool is_residue(const struct map_occupancy *map)
{
	// Maps that are emptied to be filled again are common.
	uint64_t least = map->entries ? EACH_BYTES_MIN : EMPTY_BYTES_MIN;

	return map->bytes >= map->rebuilt_bytes * REBUILT_RATIO &&
	       map->bytes >= map->rebuilt_bytes + least;
}

static bool was_fuller(struct maps *maps, object_id object, const struct map_occupancy *map)
{
	const struct analysis *analysis = maps->run->analysis;
	struct object_type header;

	typing_of(analysis->typing, object, &header);
	return map_was_fuller(analysis->heap, &maps->memory, header.type,
		heap_address(analysis->heap, object), map);
}

static void map_suspect(
	struct maps *maps, object_id object, const struct map_occupancy *map, bool fuller)
{
	suspects_add(&maps->suspects,
		(struct suspect){.object = object,
			.kind = typing_label_of(maps->run->analysis->typing, object),
			.bytes = map->bytes - map->rebuilt_bytes});
	if (fuller && !hw_map_put(&maps->shrunken, object, 0))
		maps->no_memory = true;
}

// Small maps do not always show it: enough of those of a kind have to.
static bool group_is_shrunken(const struct maps *maps, const struct suspect_group *group)
{
	size_t count = 0;

	for (size_t i = 0; i < group->count; i++)
		count += hw_map_get(
			&maps->shrunken, maps->suspects.list.items[group->first + i].object, NULL);
	return count > group->count / SHRUNKEN_PART_MIN;
}

static struct error *map_look(void *context, object_id object)
{
	struct maps *maps = context;
	const struct analysis *analysis = maps->run->analysis;
	struct map_occupancy map;

	// Whatever it takes it keeps alone, and that is known already.
	if (graph_retains(analysis->graph, object, EACH_BYTES_MIN) &&
		map_occupancy(analysis->heap, analysis->typing, &maps->memory, object, &map) &&
		is_residue(&map) && !takes_turns(maps, object, &map))
		map_suspect(maps, object, &map, was_fuller(maps, object, &map));
	return NULL;
}

// A map whose header lies in a goroutine's frame is known by what that points to.
static const struct stack_map *stack_map_of(const struct maps *maps, object_id groups)
{
	size_t count;
	const struct stack_map *all = typing_stack_maps(maps->run->analysis->typing, &count);

	for (size_t i = 0; i < count; i++)
		if (all[i].groups == groups)
			return &all[i];
	return NULL;
}

// The same as takes_turns() for two maps in one frame, which come one after the other.
static bool takes_turns_with(struct maps *maps, const struct stack_map *one,
	const struct stack_map *other, uint64_t bytes)
{
	struct map_occupancy map;

	return one->header == other->header &&
	       other->address - one->address + FRAME_BYTES <= 2 * FRAME_BYTES &&
	       map_measure(maps->run->analysis->heap, &maps->memory, other->header, other->address,
		       NULL, &map) &&
	       map.rebuilt_bytes >= bytes / FILLED_PART_MIN;
}

static void stack_maps_look(struct maps *maps)
{
	const struct analysis *analysis = maps->run->analysis;
	size_t count;
	const struct stack_map *all = typing_stack_maps(analysis->typing, &count);
	struct map_occupancy map;

	for (size_t i = 0; i < count; i++)
		if (map_measure(analysis->heap, &maps->memory, all[i].header, all[i].address, NULL,
			    &map) &&
			is_residue(&map) &&
			map_was_fuller(analysis->heap, &maps->memory, all[i].header, all[i].address,
				&map) &&
			!(i && takes_turns_with(maps, &all[i], &all[i - 1], map.bytes)) &&
			!(i + 1 < count && takes_turns_with(maps, &all[i], &all[i + 1], map.bytes)))
			map_suspect(maps, all[i].groups, &map,
				map_was_fuller(analysis->heap, &maps->memory, all[i].header,
					all[i].address, &map));
}

static bool example_measure(
	struct maps *maps, object_id object, const char **name, struct map_occupancy *map)
{
	const struct analysis *analysis = maps->run->analysis;
	const struct stack_map *in_frame = stack_map_of(maps, object);

	*name = in_frame ? in_frame->header->name : object_type_name(maps->run, object);
	return in_frame ? map_measure(analysis->heap, &maps->memory, in_frame->header,
				  in_frame->address, NULL, map)
			: map_occupancy(
				  analysis->heap, analysis->typing, &maps->memory, object, map);
}

static struct error *group_report(struct maps *maps, const struct suspect_group *group)
{
	struct map_occupancy map;
	char count[24], slots[24], bytes[24], entries[24];
	const char *name;

	if ((group->most < MAP_BYTES_MIN && group->bytes < MAPS_BYTES_MIN) ||
		!group_is_shrunken(maps, group))
		return NULL;
	if (!example_measure(maps, group->example->object, &name, &map))
		return NULL;
	struct finding finding = {
		.bytes = group->bytes,
		.objects = group->count,
		.type = name,
		.what = finding_text(maps->run,
			"%s × %s with far more room than entries: one has %s in %s of "
			"memory for %s",
			format_count(count, sizeof(count), group->count), name,
			format_count(entries, sizeof(entries), map.entries),
			format_bytes(bytes, sizeof(bytes), map.bytes),
			format_count(slots, sizeof(slots), map.slots)),
		.remedy = "copy the entries into a new map when most have been deleted; delete and "
			  "clear free no room",
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = group->example->object,
		.goroutine = UINT32_MAX,
	};
	return finding_add(maps->run, &finding);
}

struct error *rule_map_residue(struct rule_run *run)
{
	struct maps maps = {.run = run};
	struct error *err = memory_init(&maps.memory, run->analysis->target, MEMORY_CACHE_BYTES);

	if (err)
		return err;
	hw_map_init(&maps.shrunken);
	err = objects_each(run, map_pick, map_look, &maps);
	if (!err) {
		stack_maps_look(&maps);
		err = maps.no_memory ? error_no_memory() : suspects_group(&maps.suspects, run);
	}
	for (size_t i = 0; i < maps.suspects.groups.count && !err; i++)
		err = group_report(&maps, &maps.suspects.groups.items[i]);
	suspects_deinit(&maps.suspects);
	hw_map_deinit(&maps.shrunken);
	memory_deinit(&maps.memory);
	return err;
}
