// sync-map-residue: deleted keys that a sync.Map still holds.
//
// Up to 1.23 a sync.Map reads from a map that is not changed: Delete takes the value out of the key's entry and leaves
// key and entry where they are, until so many reads of new keys have missed that the other map, "dirty", takes its place
// (sync/map.go). Without new keys that never comes. From 1.24 on sync.Map is a trie, and what is deleted goes at once
// (internal/sync/hashtriemap.go): there are no such maps then, and nothing is found.
//
// A deleted entry's p is nil, or `expunged`, one fixed pointer to an empty interface: told from a stored nil, which has an
// interface of its own each time, by coming twice.
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "rules/objects.h"
#include "rules/suspects.h"

enum {
	BUCKET_SLOTS = 8,
	TOP_HASH_MIN = 5, // runtime/map.go, minTopHash: smaller ones mark empty and moved slots
	KEYS = 8, // struct bmap { tophash [8]uint8; keys [8]any; elems [8]*entry; overflow *bmap }
	KEY_BYTES = 16,
	ELEMS = KEYS + BUCKET_SLOTS * KEY_BYTES,
	BUCKET_BYTES = ELEMS + BUCKET_SLOTS * 8 + 8,
};

struct sync_maps {
	struct rule_run *run;
	struct heap_reader *buckets, *entries; // each with a window of its own
	remote_addr empty, expunged;
	struct suspects suspects;
	uint64_t keys; // deleted ones, in all maps
};

static bool is_deleted(struct sync_maps *maps, remote_addr entry)
{
	remote_addr p, value[2];

	if (!heap_read(maps->entries, entry, &p, sizeof(p)))
		return false;
	if (!p || p == maps->expunged)
		return true;
	if (!heap_read(maps->entries, p, value, sizeof(value)) || value[0] || value[1])
		return false;
	if (p == maps->empty)
		maps->expunged = p;
	maps->empty = p;
	return p == maps->expunged;
}

struct bucket_counts {
	uint64_t used, deleted;
	uint64_t bytes; // kept by deleted keys and their entries
};

static void bucket_look(struct sync_maps *maps, object_id object, const uint8_t *bucket,
	struct bucket_counts *counts)
{
	const struct analysis *analysis = maps->run->analysis;

	for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
		remote_addr key, entry;
		memcpy(&key, bucket + KEYS + slot * KEY_BYTES + 8, sizeof(key));
		memcpy(&entry, bucket + ELEMS + slot * 8, sizeof(entry));
		if (bucket[slot] < TOP_HASH_MIN || !entry)
			continue;
		counts->used++;
		if (!is_deleted(maps, entry))
			continue;
		counts->deleted++;
		object_id targets[] = {
			heap_find(analysis->heap, key), heap_find(analysis->heap, entry)};
		for (unsigned i = 0; i < ARRAY_COUNT(targets); i++)
			if (targets[i] != OBJECT_NONE &&
				graph_dominator(analysis->graph, targets[i]) == object)
				counts->bytes += graph_retained(analysis->graph, targets[i]);
	}
}

// The array of a map's buckets, or an overflow bucket.
static void buckets_look(struct sync_maps *maps, object_id object)
{
	const struct heap *heap = maps->run->analysis->heap;
	const struct span *span = heap_span_of(heap, object);
	uint64_t header = span->header_bytes, bytes = span->elem_size - header;
	struct bucket_counts counts = {0};
	uint8_t bucket[BUCKET_BYTES];

	for (uint64_t i = 0; i < bytes / BUCKET_BYTES; i++)
		if (heap_read(maps->buckets, span_object(span, object) + header + i * BUCKET_BYTES,
			    bucket, sizeof(bucket)))
			bucket_look(maps, object, bucket, &counts);
	if (counts.deleted * 2 < counts.used || !counts.deleted)
		return;
	maps->keys += counts.deleted;
	suspects_add(&maps->suspects,
		(struct suspect){.object = object,
			.bytes = counts.bytes + span->elem_size / counts.used * counts.deleted});
}

static struct error *group_report(struct sync_maps *maps, const struct suspect_group *group)
{
	char count[24];
	struct finding finding = {
		.bytes = group->bytes,
		.objects = group->count,
		.type = "sync.Map",
		.proven = true,
		.what = finding_text(maps->run,
			"of the keys that a sync.Map holds more than half, %s, have been deleted",
			format_count(count, sizeof(count), maps->keys)),
		.remedy = "replace the sync.Map by a new one after mass deletion, use a map and a "
			  "mutex, or build with "
			  "go 1.24 or newer, where deleted keys go at once",
		.remedy_bytes = group->bytes,
		.condition = "go up to 1.23",
		.subject = group->example->object,
		.goroutine = UINT32_MAX,
	};

	return finding_add(maps->run, &finding);
}

struct error *rule_sync_map_residue(struct rule_run *run)
{
	struct sync_maps maps = {.run = run};
	_cleanup_(typed_objects_deinit) struct typed_objects buckets = {0};
	struct error *err =
		typed_objects_find(run, "map.bucket[interface {}]*sync.entry", &buckets);

	if (err || !buckets.list.count || buckets.type->size != BUCKET_BYTES)
		return err;
	err = heap_reader_create(run->analysis->heap, &maps.buckets);
	if (!err)
		err = heap_reader_create(run->analysis->heap, &maps.entries);
	for (size_t i = 0; i < buckets.list.count && !err; i++)
		buckets_look(&maps, buckets.list.items[i]);
	if (!err)
		err = suspects_group(&maps.suspects, run);
	for (size_t i = 0; i < maps.suspects.groups.count && !err; i++)
		err = group_report(&maps, &maps.suspects.groups.items[i]);
	heap_reader_destroy(maps.entries);
	heap_reader_destroy(maps.buckets);
	suspects_deinit(&maps.suspects);
	return err;
}
