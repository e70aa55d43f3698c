// map-residue: maps that were big once.
//
// Deleting frees what keys and values point to, but a map never gives its own memory back (runtime/map.go to 1.23;
// internal/runtime/maps from 1.24: clear() keeps it, too). That is memory for entries to come, and one look cannot know
// whether they will: suspected, and only where a new map with the same entries would take a fifth. A map that is growing
// needs half to a quarter of its memory, one whose entries come and go a quarter at worst (1.24).
#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "goruntime/map_occupancy.h"
#include "rules/objects.h"
#include "rules/suspects.h"

enum {
	REBUILT_RATIO = 5,
	EACH_BYTES_MIN = 1 << 10,
	MAP_BYTES_MIN = 128 << 10, // of one map
	MAPS_BYTES_MIN = 1 << 20,  // of many small ones
	EMPTY_BYTES_MIN = 1 << 20,
	MEMORY_CACHE_BYTES = 1 << 20
};

struct maps {
	struct rule_run *run;
	struct memory memory;
	struct suspects suspects;
};

static bool map_pick(void *context, object_id object)
{
	const struct maps *maps = context;
	struct object_type type;

	typing_of(maps->run->analysis->typing, object, &type);
	return type.source == TYPED_EXACT && !type.array && type_is_map_header(type.type);
}

static void map_judge(
	struct maps *maps, object_id object, uint64_t kind, const struct map_occupancy *map)
{
	// Maps that are emptied to be filled again are common.
	uint64_t least = map->entries ? EACH_BYTES_MIN : EMPTY_BYTES_MIN;

	if (map->bytes >= map->rebuilt_bytes * REBUILT_RATIO &&
		map->bytes >= map->rebuilt_bytes + least)
		suspects_add(&maps->suspects, (struct suspect){.object = object,
						      .kind = kind,
						      .bytes = map->bytes - map->rebuilt_bytes});
}

static struct error *map_look(void *context, object_id object)
{
	struct maps *maps = context;
	const struct analysis *analysis = maps->run->analysis;
	struct map_occupancy map;

	// Whatever it takes it keeps alone, and that is known already.
	if (graph_retained(analysis->graph, object) >= EACH_BYTES_MIN &&
		map_occupancy(analysis->heap, analysis->typing, &maps->memory, object, &map))
		map_judge(maps, object, typing_label_of(analysis->typing, object), &map);
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

static void stack_maps_look(struct maps *maps)
{
	const struct analysis *analysis = maps->run->analysis;
	size_t count;
	const struct stack_map *all = typing_stack_maps(analysis->typing, &count);
	struct map_occupancy map;

	for (size_t i = 0; i < count; i++)
		if (map_measure(analysis->heap, &maps->memory, all[i].header, all[i].address, NULL,
			    &map))
			map_judge(maps, all[i].groups,
				typing_label_of(analysis->typing, all[i].groups), &map);
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

	if (group->most < MAP_BYTES_MIN && group->bytes < MAPS_BYTES_MIN)
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
	err = objects_each(run, map_pick, map_look, &maps);
	if (!err) {
		stack_maps_look(&maps);
		err = suspects_group(&maps.suspects, run);
	}
	for (size_t i = 0; i < maps.suspects.groups.count && !err; i++)
		err = group_report(&maps, &maps.suspects.groups.items[i]);
	suspects_deinit(&maps.suspects);
	memory_deinit(&maps.memory);
	return err;
}
