// Composite keys, namespace:entity:version, of which whole families can be made invalid at once.
//
// A key becomes 64 bits that go into any map or cache (hw_map, hw_cache). Generations of its namespace and of its
// entity are mixed in: to invalidate them is to give them a new generation, and no old entry is found again. What is
// left in the cache is evicted as anything that nobody asks for.
//
//	struct hw_key_space keys;
//	hw_key_space_init(&keys, NULL);
//	uint64_t key;
//	if (hw_key_make(&keys, "session", user, version, &key))      // false: this version has expired
//		hw_map_put(&cache, key, value);
//	...
//	hw_key_invalidate_entity(&keys, "session", user);            // all versions of this user's
//	hw_key_expire_versions(&keys, "session", 7);                 // all sessions before version 7
//	hw_key_invalidate(&keys, "session");                         // all sessions
//
// Two different keys have the same 64 bits with a probability of n^2 / 2^65 among n keys: store the key with the value
// where that is too much. All calls are O(length of the name) and do not touch the cache; names are not kept. One map
// entry is kept for each namespace and entity that was ever invalidated. Not thread-safe; concurrent makes are fine.
#ifndef HEAPWHY_KEY_SPACE_H
#define HEAPWHY_KEY_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "heapwhy/map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_key_space {
	struct hw_map generations;   // hash of a namespace, or of a namespace and an entity
	struct hw_map first_version; // hash of a namespace -> the first version not expired
	uint64_t last_generation;
};

void hw_key_space_init(struct hw_key_space *keys, struct hw_allocator *allocator);
void hw_key_space_deinit(struct hw_key_space *keys);

// False when the version has expired; `key` is then untouched.
bool hw_key_make(const struct hw_key_space *keys, const char *name, uint64_t entity,
	uint64_t version, uint64_t *key);

// All keys of the namespace; all of one entity; all whose version is less than `first`, which never goes down. False
// when out of memory: nothing has become invalid.
bool hw_key_invalidate(struct hw_key_space *keys, const char *name);
bool hw_key_invalidate_entity(struct hw_key_space *keys, const char *name, uint64_t entity);
bool hw_key_expire_versions(struct hw_key_space *keys, const char *name, uint64_t first);

#ifdef __cplusplus
}
#endif

#endif
