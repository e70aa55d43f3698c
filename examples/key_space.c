// Sessions in a cache: one user's become invalid, the others stay.
#include <stdio.h>

#include <heapwhy/key_space.h>

static bool is_cached(struct hw_map *cache, struct hw_key_space *keys, uint64_t user)
{
	uint64_t key;

	return hw_key_make(keys, "session", user, 1, &key) && hw_map_get(cache, key, NULL);
}

int main(void)
{
	struct hw_key_space keys;
	struct hw_map cache;
	uint64_t key;

	hw_key_space_init(&keys, NULL);
	hw_map_init(&cache);
	for (uint64_t user = 0; user < 100; user++)
		if (!hw_key_make(&keys, "session", user, 1, &key) || !hw_map_put(&cache, key, user))
			return 1; // out of memory
	if (!hw_key_invalidate_entity(&keys, "session", 17))
		return 1;
	bool one = is_cached(&cache, &keys, 17), other = is_cached(&cache, &keys, 18);
	printf("user 17: %s, user 18: %s\n", one ? "cached" : "gone", other ? "cached" : "gone");
	hw_map_deinit(&cache);
	hw_key_space_deinit(&keys);
	return one || !other;
}
