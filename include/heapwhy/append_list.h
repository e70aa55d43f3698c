// A list that only grows: elements of one size that many threads append and that all read without locks. Elements
// never move, and an element that is counted is complete.
//
//	struct hw_append_list *log = hw_append_list_create(sizeof(struct event), 1000000, NULL);
//	if (!hw_append_list_append(log, &event))
//		...                                             // full, or out of memory
//	for (size_t i = 0, count = hw_append_list_count(log); i < count; i++)
//		use((const struct event *)hw_append_list_at(log, i));
//
// `limit` is a number of elements, not of bytes. Memory comes in segments, each as large as all before it, so at most
// half of it is unused. append: O(1), under a lock; count and at: O(1), no lock, no waiting. A pointer to an element
// is valid until destroy. Elements are not to be changed once they are appended.
#ifndef HEAPWHY_APPEND_LIST_H
#define HEAPWHY_APPEND_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_append_list;

// At most `limit` elements; 0: no limit. Elements are aligned to 16. NULL when out of memory, or when `element_bytes`
// is 0. The list is registered: hw_registration_name((struct hw_registration *)list, "log").
struct hw_append_list *hw_append_list_create(
	size_t element_bytes, size_t limit, struct hw_allocator *allocator);

// No thread may be using it. Accepts NULL.
void hw_append_list_destroy(struct hw_append_list *list);

// Copies `element`. False when the list is full or when there is no memory.
bool hw_append_list_append(struct hw_append_list *list, const void *element);

// The same without a copy: begin gives the place to fill in, or NULL, and commit appends it. In between, other threads
// that append wait; the element may not be appended to the same list.
void *hw_append_list_begin(struct hw_append_list *list);
void hw_append_list_commit(struct hw_append_list *list);

// How many elements can be read by now.
size_t hw_append_list_count(const struct hw_append_list *list);

// `index` must be less than a count that was seen.
const void *hw_append_list_at(const struct hw_append_list *list, size_t index);

#ifdef __cplusplus
}
#endif

#endif
