// Threads count words together.
#include <pthread.h>
#include <stdio.h>

#include <heapwhy/sharded_map.h>

static void *count_words(void *counts)
{
	for (uint64_t i = 0; i < 100000; i++)
		hw_sharded_map_add(counts, i % 10, 1, NULL); // word i % 10
	return NULL;
}

int main(void)
{
	struct hw_sharded_map *counts = hw_sharded_map_create(16, NULL);
	uint64_t value = 0;
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, count_words, counts);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	hw_sharded_map_get(counts, 3, &value);
	printf("%zu words, the third one %d times\n", hw_sharded_map_count(counts), (int)value);
	hw_sharded_map_destroy(counts);
	return value != 20000;
}
