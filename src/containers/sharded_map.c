// A lock and a map a shard, on cache lines of their own. The shard comes from other bits of the key's hash than the
// place in the shard's map.
#include "heapwhy/sharded_map.h"

#include <pthread.h>
#include <string.h>

#include "heapwhy/map.h"
#include "heapwhy/registry.h"

enum { LINE = 64, SHARDS = 16, SHARDS_MOST = 256 };

struct shard {
	_Alignas(LINE) pthread_mutex_t lock;
	struct hw_map map;
};

struct hw_sharded_map {
	struct hw_registration registration;
	uint64_t shard_count;
	struct shard shards[];
};

// The maps register for themselves, with their counts and bytes.
static const struct hw_measure measures[] = {
	HW_MEASURE_TIMES(HW_HELD_BYTES, struct hw_sharded_map, shard_count, sizeof(struct shard)),
};
static const struct hw_kind kind = HW_KIND("sharded map", measures);

static size_t map_bytes(uint64_t shards)
{
	return sizeof(struct hw_sharded_map) + shards * sizeof(struct shard);
}

struct hw_sharded_map *hw_sharded_map_create(unsigned shards, struct hw_allocator *allocator)
{
	uint64_t count = shards ? shards : SHARDS;
	struct hw_sharded_map *map;

	if (count > SHARDS_MOST ||
		!(map = hw_alloc(allocator, map_bytes(count), _Alignof(struct hw_sharded_map))))
		return NULL;
	memset(map, 0, map_bytes(count));
	map->shard_count = count;
	for (uint64_t i = 0; i < count; i++) {
		pthread_mutex_init(&map->shards[i].lock, NULL);
		hw_map_init_with(&map->shards[i].map, allocator);
	}
	hw_register(&map->registration, &kind, allocator);
	return map;
}

void hw_sharded_map_destroy(struct hw_sharded_map *map)
{
	if (!map)
		return;
	hw_unregister(&map->registration);
	for (uint64_t i = 0; i < map->shard_count; i++) {
		hw_map_deinit(&map->shards[i].map);
		pthread_mutex_destroy(&map->shards[i].lock);
	}
	hw_free(map->registration.allocator, map, map_bytes(map->shard_count),
		_Alignof(struct hw_sharded_map));
}

static struct shard *shard_lock(struct hw_sharded_map *map, uint64_t key)
{
	uint64_t hash = (key ^ key >> 32) * UINT64_C(0xd6e8feb86659fd93);
	struct shard *shard = &map->shards[(hash >> 32) * map->shard_count >> 32];

	pthread_mutex_lock(&shard->lock);
	return shard;
}

bool hw_sharded_map_get(struct hw_sharded_map *map, uint64_t key, uint64_t *value)
{
	struct shard *shard = shard_lock(map, key);
	bool found = hw_map_get(&shard->map, key, value);

	pthread_mutex_unlock(&shard->lock);
	return found;
}

bool hw_sharded_map_put(struct hw_sharded_map *map, uint64_t key, uint64_t value)
{
	struct shard *shard = shard_lock(map, key);
	bool put = hw_map_put(&shard->map, key, value);

	pthread_mutex_unlock(&shard->lock);
	return put;
}

bool hw_sharded_map_add(struct hw_sharded_map *map, uint64_t key, uint64_t more, uint64_t *sum)
{
	struct shard *shard = shard_lock(map, key);
	uint64_t *value = hw_map_at(&shard->map, key, 0);

	if (value) {
		*value += more;
		if (sum)
			*sum = *value;
	}
	pthread_mutex_unlock(&shard->lock);
	return value;
}

bool hw_sharded_map_delete(struct hw_sharded_map *map, uint64_t key, uint64_t *old)
{
	struct shard *shard = shard_lock(map, key);
	bool deleted =
		(!old || hw_map_get(&shard->map, key, old)) && hw_map_delete(&shard->map, key);

	pthread_mutex_unlock(&shard->lock);
	return deleted;
}

void hw_sharded_map_each(struct hw_sharded_map *map,
	bool (*visit)(void *context, uint64_t key, uint64_t value), void *context)
{
	bool more = true;

	for (uint64_t i = 0; more && i < map->shard_count; i++) {
		struct shard *shard = &map->shards[i];
		pthread_mutex_lock(&shard->lock);
		hw_map_each (&shard->map, entry)
			if (!(more = visit(context, entry->key, entry->value)))
				break;
		pthread_mutex_unlock(&shard->lock);
	}
}

size_t hw_sharded_map_count(struct hw_sharded_map *map)
{
	size_t count = 0;

	for (uint64_t i = 0; i < map->shard_count; i++) {
		pthread_mutex_lock(&map->shards[i].lock);
		count += map->shards[i].map.count;
		pthread_mutex_unlock(&map->shards[i].lock);
	}
	return count;
}

size_t hw_sharded_map_held_bytes(struct hw_sharded_map *map)
{
	size_t bytes = map_bytes(map->shard_count);

	for (uint64_t i = 0; i < map->shard_count; i++) {
		pthread_mutex_lock(&map->shards[i].lock);
		bytes += map->shards[i].map.held_bytes;
		pthread_mutex_unlock(&map->shards[i].lock);
	}
	return bytes;
}
