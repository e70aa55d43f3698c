// Hashes of names, with generations mixed in. See heapwhy/key_space.h.
#include "heapwhy/key_space.h"

// A round of splitmix64's finalizer: every bit of either argument changes half of the result's.
static uint64_t mix(uint64_t hash, uint64_t more)
{
	hash = (hash ^ more) + UINT64_C(0x9e3779b97f4a7c15);
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
	return hash ^ (hash >> 31);
}

// Eight characters a round; the length tells "ab" from "ab\0".
static uint64_t name_hash(const char *name)
{
	uint64_t hash = 0, word = 0, length = 0;

	for (; name[length]; length++) {
		word = word << 8 | (unsigned char)name[length];
		if (length % 8 == 7) {
			hash = mix(hash, word);
			word = 0;
		}
	}
	return mix(mix(hash, word), length);
}

static uint64_t entity_hash(uint64_t name, uint64_t entity)
{
	return mix(name, entity);
}

static uint64_t value_of(const struct hw_map *map, uint64_t key)
{
	uint64_t value = 0;

	hw_map_get(map, key, &value);
	return value;
}

void hw_key_space_init(struct hw_key_space *keys, struct hw_allocator *allocator)
{
	hw_map_init_with(&keys->generations, allocator);
	hw_registration_name(&keys->generations.registration, "key generations");
	hw_map_init_with(&keys->first_version, allocator);
	hw_registration_name(&keys->first_version.registration, "key versions");
	keys->last_generation = 0;
}

void hw_key_space_deinit(struct hw_key_space *keys)
{
	hw_map_deinit(&keys->generations);
	hw_map_deinit(&keys->first_version);
}

bool hw_key_make(const struct hw_key_space *keys, const char *name, uint64_t entity,
	uint64_t version, uint64_t *key)
{
	uint64_t family = name_hash(name), one = entity_hash(family, entity);

	if (version < value_of(&keys->first_version, family))
		return false;
	uint64_t generation =
		mix(value_of(&keys->generations, family), value_of(&keys->generations, one));
	*key = mix(mix(one, version), generation);
	return true;
}

static bool generation_renew(struct hw_key_space *keys, uint64_t hash)
{
	if (!hw_map_put(&keys->generations, hash, keys->last_generation + 1))
		return false;
	keys->last_generation++;
	return true;
}

bool hw_key_invalidate(struct hw_key_space *keys, const char *name)
{
	return generation_renew(keys, name_hash(name));
}

bool hw_key_invalidate_entity(struct hw_key_space *keys, const char *name, uint64_t entity)
{
	return generation_renew(keys, entity_hash(name_hash(name), entity));
}

bool hw_key_expire_versions(struct hw_key_space *keys, const char *name, uint64_t first)
{
	uint64_t *place = hw_map_at(&keys->first_version, name_hash(name), 0);

	if (place && *place < first)
		*place = first;
	return place;
}
