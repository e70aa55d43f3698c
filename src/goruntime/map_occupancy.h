// How full a map is: what its buckets or groups take, and what a new map for the same entries would.
//
//	struct map_occupancy map;
//	if (map_occupancy(heap, typing, &memory, id, &map))     // id: the object that a map points to
//		use(map.entries, map.slack_bytes);
//
// A map's memory is arrays of groups with 8 slots each (buckets to 1.23); a slot takes the eighth part
// of a group: key, value, and its share of what the group has to know about them.
#ifndef GORUNTIME_MAP_OCCUPANCY_H
#define GORUNTIME_MAP_OCCUPANCY_H

#include "goruntime/typing.h"

struct map_occupancy {
	const struct go_type *key, *elem;
	uint64_t entries; // len(map)
	uint64_t
		slots; // for entries, those of overflow buckets and of tables that are being moved too
	uint64_t tombstones; // slots of deleted entries that only growing frees (swiss maps)
	uint64_t overflow;   // overflow buckets in chains (to 1.23)
	uint64_t
		bytes; // slot bytes of the groups' arrays; not the header, keys and values elsewhere
	uint64_t slack_bytes;   // of these: beyond the entries
	uint64_t rebuilt_bytes; // what `bytes` would be after copying the entries to make(map, len)
};

// False when the object is not known to be a map, or makes no sense as one. Reads the target through `memory`.
bool map_occupancy(const struct heap *heap, const struct typing *typing, struct memory *memory,
	object_id id, struct map_occupancy *out);

// The same; also sets the bit of each object that is one of the map's arrays of groups. Several threads may set bits at
// once.
bool map_occupancy_mark(const struct heap *heap, const struct typing *typing, struct memory *memory,
	object_id id, uint64_t *arrays, struct map_occupancy *out);

// The map whose header, of the type that typing_of() tells, lies at `address`. `arrays` may be NULL.
bool map_measure(const struct heap *heap, struct memory *memory, const struct go_type *header,
	remote_addr address, uint64_t *arrays, struct map_occupancy *out);

// Has the map `map`, with that header at `address`, had many more entries, by what deleting leaves behind? A map that was made
// for more than it holds yet has not. True as well where such maps do not tell: empty ones, and up to 1.23 those whose
// keys have pointers and are no strings.
bool map_was_fuller(const struct heap *heap, struct memory *memory, const struct go_type *header,
	remote_addr address, const struct map_occupancy *map);

// Is this what typing_of() tells of the object that a map points to?
static inline bool type_is_map_header(const struct go_type *type)
{
	return type->synthetic && type->group && type->key;
}

// What `bytes` are for a map of `entries` entries made with that hint; `group` is its bucket or group.
uint64_t map_bytes_needed(const struct heap *heap, const struct go_type *group, uint64_t entries);

#endif
