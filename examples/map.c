// Counting how often each number comes up.
#include <stdio.h>

#include <heapwhy/map.h>

int main(void)
{
	struct hw_map counts;

	hw_map_init(&counts);
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t *count = hw_map_at(&counts, i * i % 10, 0);
		if (!count)
			return 1; // out of memory
		++*count;
	}
	hw_map_each (&counts, entry)
		printf("squares ending in %d: %d\n", (int)entry->key, (int)entry->value);
	int wrong = counts.count != 6;
	hw_map_deinit(&counts);
	return wrong;
}
