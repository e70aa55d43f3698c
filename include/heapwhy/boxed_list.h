// A boxed list: links that point to values which lie elsewhere, one allocation a link.
//
//	struct hw_boxed_list names;
//	hw_boxed_list_init(&names, free, NULL);             // removed values are freed; NULL: they are the caller's
//	hw_boxed_list_push_back(&names, strdup("orders"));  // false when out of memory: the value stays the caller's
//	char *name = hw_boxed_list_pop_front(&names);       // the caller's again
//	hw_boxed_list_deinit(&names);
//
// For values that exist already and are in several lists, or whose struct cannot be changed. Where the values are made
// for the list, hw_pooled_list is many times faster; where their struct can carry a link, hw_list is. All calls are
// O(1), deinit is O(n). Not thread-safe.
#ifndef HEAPWHY_BOXED_LIST_H
#define HEAPWHY_BOXED_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/list.h"
#include "heapwhy/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_box {
	struct hw_link link;
	void *value;
};

struct hw_boxed_list {
	struct hw_registration registration;
	struct hw_list links;
	uint64_t count;
	void (*release)(void *value);
	struct hw_allocator *allocator;
};

// `release` (may be NULL) is called for values that the list drops: by deinit and remove, not by pop.
void hw_boxed_list_init(
	struct hw_boxed_list *list, void (*release)(void *value), struct hw_allocator *allocator);
void hw_boxed_list_deinit(struct hw_boxed_list *list);

// False when out of memory.
bool hw_boxed_list_push_back(struct hw_boxed_list *list, void *value);
bool hw_boxed_list_push_front(struct hw_boxed_list *list, void *value);

// The value, the caller's again; NULL when the list is empty.
void *hw_boxed_list_pop_front(struct hw_boxed_list *list);

// Drops one box, which may be the current one of hw_list_each_safe(&list->links, link).
void hw_boxed_list_remove(struct hw_boxed_list *list, struct hw_box *box);

#ifdef __cplusplus
}
#endif

#endif
