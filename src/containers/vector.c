// Growing arrays. See heapwhy/vector.h.
#include "heapwhy/vector.h"

#include <stdint.h>
#include <stdlib.h>

bool hw_vector_grow_(void **items, size_t *capacity, size_t count, size_t more, size_t size)
{
	size_t need, bytes;

	if (__builtin_add_overflow(count, more, &need))
		return false;
	// Half as much again: a doubling array never fits into the sum of the pieces it has freed.
	size_t wanted = *capacity + *capacity / 2 + 4;
	if (wanted < need)
		wanted = need;
	if (__builtin_mul_overflow(wanted, size, &bytes))
		return false;
	void *moved = realloc(*items, bytes);
	if (!moved)
		return false;
	*items = moved;
	*capacity = wanted;
	return true;
}

void hw_vector_shrink_(void **items, size_t *capacity, size_t count, size_t size)
{
	if (count == *capacity)
		return;
	if (!count) {
		free(*items);
		*items = NULL;
		*capacity = 0;
		return;
	}
	void *moved = realloc(*items, count * size);
	if (moved) {
		*items = moved;
		*capacity = count;
	}
}

void hw_vector_deinit_(void **items, size_t *count, size_t *capacity)
{
	free(*items);
	*items = NULL;
	*count = 0;
	*capacity = 0;
}
