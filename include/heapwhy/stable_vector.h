// A growing array whose elements never move: it has address space reserved, and memory only where elements are.
//
//	HW_STABLE_VECTOR(struct point) points;
//	hw_stable_vector_init(&points, 0, NULL);
//	if (!hw_stable_vector_push(&points, ((struct point){1, 2})))
//		...                                     // out of memory, budget or range; the vector is as it was
//	struct point *first = &points.items[0];         // good until deinit, however much is pushed
//	points.count = 10;
//	hw_stable_vector_shrink(&points);               // gives the memory beyond count back
//	hw_stable_vector_deinit(&points);
//
// Growing copies nothing, so the peak is what is in use, and from 2 MiB on it lies on huge pages where the kernel
// allows it. `items`, `count` and `capacity` (in elements) may be read at any time; `count` may be lowered by hand.
//
// The range is for as many elements as init is told, or 64 GiB. Where the process's address space is limited
// (RLIMIT_AS), it is at most a quarter of what is left: address space that is reserved here is missed elsewhere.
// Pushing is O(1) (a system call for each eighth that the vector grows). Not thread-safe. Small and short-lived vectors
// want heapwhy/vector.h: a range costs three system calls and at least 64 KiB.
#ifndef HEAPWHY_STABLE_VECTOR_H
#define HEAPWHY_STABLE_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/budget.h"
#include "heapwhy/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

// A range of address space of which the first `held_bytes` are memory.
struct hw_range {
	struct hw_registration registration;
	char *base;
	uint64_t reserved_bytes, held_bytes;
	uint64_t used_bytes; // as of the last change of held_bytes
	struct hw_budget *budget;
};

// At least 1 and at most `bytes` (0: 64 GiB) are reserved, on the first growth. `budget` may be NULL.
void hw_range_init(struct hw_range *range, uint64_t bytes, struct hw_budget *budget);
void hw_range_deinit(struct hw_range *range);

// Memory for at least `bytes` from the base on: more, to make the calls rare. False: no change.
bool hw_range_grow(struct hw_range *range, uint64_t bytes);

// Gives memory beyond `bytes` back, in whole pages. What lay there is lost.
void hw_range_shrink(struct hw_range *range, uint64_t bytes);

#define HW_STABLE_VECTOR(type)          \
	struct {                        \
		type *items;            \
		size_t count, capacity; \
		struct hw_range range;  \
	}

// `most` elements at most; 0: as many as fit into 64 GiB.
#define hw_stable_vector_init(vector, most, budget)                        \
	((vector)->items = NULL, (vector)->count = (vector)->capacity = 0, \
		hw_range_init(                                             \
			&(vector)->range, (uint64_t)(most) * sizeof(*(vector)->items), (budget)))

#define hw_stable_vector_deinit(vector)                             \
	(hw_range_deinit(&(vector)->range), (vector)->items = NULL, \
		(vector)->count = (vector)->capacity = 0)

// Makes room for `more` elements after `count`. False: the vector is as it was.
#define hw_stable_vector_reserve(vector, more)                                      \
	((vector)->capacity - (vector)->count >= (size_t)(more) ||                  \
		hw_stable_vector_grow_(&(vector)->range, (void **)&(vector)->items, \
			&(vector)->capacity, (vector)->count, (more), sizeof(*(vector)->items)))

#define hw_stable_vector_push(vector, ...)      \
	(hw_stable_vector_reserve(vector, 1) && \
		((vector)->items[(vector)->count++] = (__VA_ARGS__), true))

#define hw_stable_vector_shrink(vector) \
	hw_stable_vector_shrink_(       \
		&(vector)->range, &(vector)->capacity, (vector)->count, sizeof(*(vector)->items))

bool hw_stable_vector_grow_(struct hw_range *range, void **items, size_t *capacity, size_t count,
	size_t more, size_t size);
void hw_stable_vector_shrink_(struct hw_range *range, size_t *capacity, size_t count, size_t size);

#ifdef __cplusplus
}
#endif

#endif
