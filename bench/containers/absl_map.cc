// Abseil's flat_hash_map for map.c, with the loop over the lookups on this side of the language border.
#include <absl/container/flat_hash_map.h>

#include <cstdint>

using Map = absl::flat_hash_map<uint64_t, uint64_t>;

extern "C" {
void *absl_map_new()
{
	return new Map;
}

void absl_map_free(void *map)
{
	delete static_cast<Map *>(map);
}

void absl_map_put(void *map, uint64_t key, uint64_t value)
{
	(*static_cast<Map *>(map))[key] = value;
}

uint64_t absl_map_sum(void *map, const uint64_t *keys, size_t count)
{
	Map &table = *static_cast<Map *>(map);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		auto found = table.find(keys[i]);
		if (found != table.end())
			sum += found->second;
	}
	return sum;
}

void absl_map_delete(void *map, uint64_t key)
{
	static_cast<Map *>(map)->erase(key);
}
}
