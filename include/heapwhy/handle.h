// Weak handles: names for objects that can be kept for ever, and that notice when the object is gone.
//
//	struct hw_handles sessions;
//	hw_handles_init(&sessions, NULL);
//	hw_handle handle = hw_handle_make(&sessions, session);      // 0 when out of memory
//	...
//	struct session *s = hw_handle_get(&sessions, handle);       // NULL once it was dropped, whoever lives there now
//	...
//	hw_handle_drop(&sessions, handle);                          // when the object is freed
//	hw_handles_deinit(&sessions);
//
// A handle is a place in a table and the place's generation: dropping an object makes a new generation, so no old handle
// fits. A place whose 2^32 generations are used up is never used again. The object may move: hw_handle_move().
//
// A weak map is a map whose values are handles: hw_weak_map_get() returns the object while it lives, and forgets the
// key when it does not; hw_weak_map_sweep() forgets all dead ones.
//
// All calls are O(1) (sweep: O(n)). The table does not own the objects. Not thread-safe.
#ifndef HEAPWHY_HANDLE_H
#define HEAPWHY_HANDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/map.h"
#include "heapwhy/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t hw_handle; // generation << 32 | place; 0 is never a handle

struct hw_handle_slot {
	void *object;        // free slots: NULL
	uint32_t generation; // odd while in use
	uint32_t next_free;  // + 1; 0: none
};

struct hw_handles {
	struct hw_registration registration;
	struct hw_handle_slot *slots;
	uint64_t count, used_slots, capacity;
	uint64_t stale;      // lookups of handles whose object was gone
	uint32_t first_free; // + 1; 0: none
	struct hw_allocator *allocator;
};

void hw_handles_init(struct hw_handles *handles, struct hw_allocator *allocator);
void hw_handles_deinit(struct hw_handles *handles);

// `object` is not NULL. 0 when out of memory.
hw_handle hw_handle_make(struct hw_handles *handles, void *object);

// The object; NULL when it was dropped, or when this never was a handle of this table.
void *hw_handle_get(struct hw_handles *handles, hw_handle handle);

// The object lies elsewhere now. False for a stale handle.
bool hw_handle_move(struct hw_handles *handles, hw_handle handle, void *object);

// False for a stale handle, which is also reported as a mistake in debug mode: its object is dropped twice.
bool hw_handle_drop(struct hw_handles *handles, hw_handle handle);

struct hw_weak_map {
	struct hw_map map; // key -> handle
	struct hw_handles *handles;
};

// `handles` must outlive the map.
void hw_weak_map_init(
	struct hw_weak_map *weak, struct hw_handles *handles, struct hw_allocator *allocator);
void hw_weak_map_deinit(struct hw_weak_map *weak);

// False when out of memory.
bool hw_weak_map_put(struct hw_weak_map *weak, uint64_t key, hw_handle handle);

// NULL when the key is absent or its object is gone; the key is then gone, too.
void *hw_weak_map_get(struct hw_weak_map *weak, uint64_t key);

// Drops all keys whose objects are gone, and returns their number. Once after many drops is enough.
size_t hw_weak_map_sweep(struct hw_weak_map *weak);

#ifdef __cplusplus
}
#endif

#endif
