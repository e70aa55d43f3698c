// A growing array of any element type, by value.
//
//	HW_VECTOR(struct point) points = HW_VECTOR_INIT;
//	if (!hw_vector_push(&points, ((struct point){1, 2})))
//		...                                     // out of memory; the vector is as it was
//	for (size_t i = 0; i < points.count; i++)
//		use(&points.items[i]);
//	hw_vector_deinit(&points);
//
// `items`, `count` and `capacity` (both in elements) may be read at any time; `count` may be lowered by hand. Growing
// moves the elements. Memory is malloc's: for a budget, or elements that must not move, see heapwhy/stable_vector.h.
// Not thread-safe.
#ifndef HEAPWHY_VECTOR_H
#define HEAPWHY_VECTOR_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HW_VECTOR(type)                 \
	struct {                        \
		type *items;            \
		size_t count, capacity; \
	}

#define HW_VECTOR_INIT     \
	{                  \
		NULL, 0, 0 \
	}

// Makes room for `more` elements after `count`. False when out of memory. Amortised O(1) an element.
#define hw_vector_reserve(vector, more)                                                          \
	((vector)->capacity - (vector)->count >= (size_t)(more) ||                               \
		hw_vector_grow_((void **)&(vector)->items, &(vector)->capacity, (vector)->count, \
			(more), sizeof(*(vector)->items)))

#define hw_vector_push(vector, ...) \
	(hw_vector_reserve(vector, 1) && ((vector)->items[(vector)->count++] = (__VA_ARGS__), true))

// Gives the memory beyond `count` back, if there is memory to do so. O(count).
#define hw_vector_shrink(vector)                                                           \
	hw_vector_shrink_((void **)&(vector)->items, &(vector)->capacity, (vector)->count, \
		sizeof(*(vector)->items))

// Frees the items; the vector is empty and usable afterwards.
#define hw_vector_deinit(vector) \
	hw_vector_deinit_((void **)&(vector)->items, &(vector)->count, &(vector)->capacity)

bool hw_vector_grow_(void **items, size_t *capacity, size_t count, size_t more, size_t size);
void hw_vector_shrink_(void **items, size_t *capacity, size_t count, size_t size);
void hw_vector_deinit_(void **items, size_t *count, size_t *capacity);

#ifdef __cplusplus
}
#endif

#endif
