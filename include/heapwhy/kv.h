// Key-value entries in one block: a header, the key, the value. For caches and tables of strings: one allocation an
// entry instead of three, and an update that readers never see half done.
//
//	struct hw_kv *entry = hw_kv_make("user:17", 7, "Ada", 3, NULL);   // NULL when out of memory
//	hw_kv_update(&entry, "Grace", 5);                                // false when out of memory: as it was
//	use(hw_kv_value(entry), entry->value_bytes);
//	hw_kv_release(entry);
//
// An update goes this way: does the value fit, and does nobody else hold the entry? Then in place. If not, a copy with
// the new value takes the entry's place, and the old one is released; whoever holds it may go on reading it, and the
// last one frees it. Three ways to hold an entry while others update it:
//
//	strategy         call                         costs                       safe when
//	count            hw_kv_hold, hw_kv_release    an atomic addition each     holders take it where no update can run
//	handle           hw_kv_update_handle          a look-up in a table        one thread; never dangles, may be gone
//	copy and swap    hw_kv_replace                a copy for each update      readers are lock-free, the caller retires
//	                                                                          the old entry (heapwhy/epoch.h)
//
// The count is atomic, so an entry may be shared between threads; changing the place that points to it is up to the
// caller's lock, except for hw_kv_replace(), whose swap is atomic. All calls are O(bytes).
#ifndef HEAPWHY_KV_H
#define HEAPWHY_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/handle.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_kv {
	struct hw_allocator *allocator;
	uint32_t holders;
	uint32_t key_bytes, value_bytes;
	uint32_t value_room; // the value may grow to this in place
	char data[];         // the key, then the value
};

// Copies of key and value, each of less than 2 GiB, and one holder: the caller. NULL when out of memory.
struct hw_kv *hw_kv_make(const void *key, size_t key_bytes, const void *value, size_t value_bytes,
	struct hw_allocator *allocator);

static inline const char *hw_kv_key(const struct hw_kv *entry)
{
	return entry->data;
}

static inline const char *hw_kv_value(const struct hw_kv *entry)
{
	return entry->data + entry->key_bytes;
}

// One more holder. / One holder less; the last one frees the entry. NULL does nothing.
struct hw_kv *hw_kv_hold(struct hw_kv *entry);
void hw_kv_release(struct hw_kv *entry);

// Changes the value of the entry at `place`, in place if possible, else by a copy that takes its place. False when out
// of memory: nothing has changed.
bool hw_kv_update(struct hw_kv **place, const void *value, size_t value_bytes);

// The same for an entry that a handle stands for. False for a stale handle, too.
bool hw_kv_update_handle(
	struct hw_handles *handles, hw_handle handle, const void *value, size_t value_bytes);

// Always copies and swaps: readers without a lock see the old entry or the new one. The old one is returned for the
// caller to release when no reader can be left; NULL when out of memory.
struct hw_kv *hw_kv_replace(struct hw_kv **place, const void *value, size_t value_bytes);

#ifdef __cplusplus
}
#endif

#endif
