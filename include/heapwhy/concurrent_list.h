// A list of distinct 64-bit items (pointers or ids, never 0) that many threads read without locks while others add and
// remove: sixteen segments, each with its own lock for its writers and one array of items for everybody. An item
// belongs to the segment that its hash says, so looking for one item reads a sixteenth of the list. No order is kept.
//
//	struct hw_concurrent_list *list = hw_concurrent_list_create(epoch, NULL);
//	hw_concurrent_list_add(list, (uintptr_t)listener);
//
//	hw_epoch_enter(reader);
//	hw_concurrent_list_each(list, cursor, item)
//		notify((struct listener *)(uintptr_t)item);
//	hw_epoch_exit(reader);
//
// add, remove and contains are linearizable. A walk sees every item that is there all the time exactly once; one that
// comes or goes meanwhile may be seen. An array that is less than a third used is replaced by a smaller one.
// Costs for n items: contains, add, remove read n/16 items (8 bytes each, in a row); a walk reads n items and up to as
// many holes. Memory: 8 to 24 bytes an item and 4 KiB. What an item points to is the caller's: after removing it,
// retire it with the same domain.
// Garbage: arrays that were replaced, by the domain's limit. While a stalled reader keeps that at its limit, an add
// that needs a larger array returns HW_LIST_FULL; removing goes on, without shrinking.
#ifndef HEAPWHY_CONCURRENT_LIST_H
#define HEAPWHY_CONCURRENT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/epoch.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_concurrent_list;

enum hw_list_result {
	HW_LIST_DONE,
	HW_LIST_THERE, // it is in the list already
	HW_LIST_FULL,  // out of memory, or garbage at its limit: nothing was changed
};

// Readers of `epoch` may read it; the domain must outlive the list. NULL when out of memory. The list
// is registered: hw_registration_name((struct hw_registration *)list, "listeners").
struct hw_concurrent_list *hw_concurrent_list_create(
	struct hw_epoch *epoch, struct hw_allocator *allocator);

// No thread may be using the list. Accepts NULL.
void hw_concurrent_list_destroy(struct hw_concurrent_list *list);

enum hw_list_result hw_concurrent_list_add(struct hw_concurrent_list *list, uint64_t item);

// True when `item` was there.
bool hw_concurrent_list_remove(struct hw_concurrent_list *list, uint64_t item);

bool hw_concurrent_list_contains(
	const struct hw_concurrent_list *list, struct hw_epoch_reader *reader, uint64_t item);

// How many items there are; exact when nobody is adding or removing. O(1).
size_t hw_concurrent_list_count(const struct hw_concurrent_list *list);
size_t hw_concurrent_list_held_bytes(const struct hw_concurrent_list *list); // without garbage

// A walk, inside a read section of the list's domain. `break` leaves it.
#define hw_concurrent_list_each(list, cursor, item)                                                \
	for (struct hw_concurrent_list_cursor cursor = {NULL, 0, 0, false};                        \
		!cursor.left && hw_concurrent_list_more((list), &cursor);)                         \
		for (uint64_t item = 0, item##_at = (cursor.left = true, (uintptr_t)cursor.slots), \
			      item##_end = item##_at + cursor.count * sizeof(item);                \
			item##_at < item##_end || (cursor.left = false);                           \
			item##_at += sizeof(item))                                                 \
			if (!(item = __atomic_load_n((const uint64_t *)(uintptr_t)item##_at,       \
				      __ATOMIC_ACQUIRE))) {                                        \
			} else

struct hw_concurrent_list_cursor {
	const uint64_t *slots; // of one segment; 0 is a hole
	size_t count;
	unsigned segment; // the one after it
	bool left;        // by break
};

// The next segment's slots. False when there are no more. They lie in a row that begins at a multiple of 32 bytes and
// goes on behind `count`, with slots that were holes, up to a multiple of four: a loop of its own may read four at once,
// where the processor reads each aligned eight bytes in one piece. Twice as fast as item by item, or more.
bool hw_concurrent_list_more(
	const struct hw_concurrent_list *list, struct hw_concurrent_list_cursor *cursor);

#ifdef __cplusplus
}
#endif

#endif
