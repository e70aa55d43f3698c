// Strings of any length, and a map on the same allocator.
#include <stdio.h>
#include <string.h>

#include <heapwhy/map.h>
#include <heapwhy/slab.h>

static struct hw_slab slab; // too large for the stack

int main(void)
{
	struct hw_map lengths;
	char *words[50];

	hw_slab_init(&slab, NULL);
	hw_map_init_with(&lengths, &slab.allocator);
	for (size_t i = 0; i < 50; i++) {
		words[i] = hw_slab_alloc(&slab, i * 10 + 1);
		if (!words[i] || !hw_map_put(&lengths, i, i * 10 + 1))
			return 1; // out of memory
		memset(words[i], 'a', i * 10 + 1);
	}
	printf("%d bytes in use, %d held\n", (int)slab.used_bytes, (int)hw_budget_used(&slab.held));
	for (size_t i = 0; i < 50; i++)
		hw_slab_free(&slab, words[i], i * 10 + 1);
	hw_map_deinit(&lengths);
	int wrong = slab.used_bytes != 0;
	hw_slab_deinit(&slab);
	return wrong;
}
