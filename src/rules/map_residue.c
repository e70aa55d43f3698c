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

static struct error *map_look(void *context, object_id object)
{
	struct maps *maps = context;
	const struct analysis *analysis = maps->run->analysis;
	struct map_occupancy map;

	// Whatever it takes it keeps alone, and that is known already.
	if (graph_retained(analysis->graph, object) < EACH_BYTES_MIN ||
		!map_occupancy(analysis->heap, analysis->typing, &maps->memory, object, &map))
		return NULL;
	// Maps that are emptied to be filled again are common.
	uint64_t least = map.entries ? EACH_BYTES_MIN : EMPTY_BYTES_MIN;
	if (map.bytes < map.rebuilt_bytes * REBUILT_RATIO || map.bytes < map.rebuilt_bytes + least)
		return NULL;
	suspects_add(&maps->suspects, (struct suspect){.object = object,
					      .kind = typing_label_of(analysis->typing, object),
					      .bytes = map.bytes - map.rebuilt_bytes});
	return NULL;
}

static struct error *group_report(struct maps *maps, const struct suspect_group *group)
{
	const struct analysis *analysis = maps->run->analysis;
	struct map_occupancy map;
	char count[24], slots[24], bytes[24], entries[24];

	if (group->most < MAP_BYTES_MIN && group->bytes < MAPS_BYTES_MIN)
		return NULL;
	if (!map_occupancy(
		    analysis->heap, analysis->typing, &maps->memory, group->example->object, &map))
		return NULL;
	const char *name = object_type_name(maps->run, group->example->object);
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
	if (!err)
		err = suspects_group(&maps.suspects, run);
	for (size_t i = 0; i < maps.suspects.groups.count && !err; i++)
		err = group_report(&maps, &maps.suspects.groups.items[i]);
	suspects_deinit(&maps.suspects);
	memory_deinit(&maps.memory);
	return err;
}
