// Which bytes of each live object somebody can still see.
//
// A live object is kept whole by whatever points to it, but a slice shows only [ptr, ptr+len) and,
// by reslicing, what follows up to ptr+cap; a string shows its bytes; a pointer into an array shows
// an element. Bytes of a live object are
//
//	viewed    in some reference's [start, seen)
//	spare     beyond that, but within some slice's capacity
//	pinned    beyond all capacities or before all starts: nobody can ever see them again
//	rounding  what the size class has more than the allocation asked for
//
// and these add up to the object's slot. Nothing is claimed to be pinned or spare that somebody may
// see: a reference whose type is unknown (an untyped holder, unsafe.Pointer, a stack word that is no slice
// or string by the debug information) sees the whole object, and so does a pointer to a struct at the
// object's start, which may be the head of something larger. What lies itself where nobody sees it shows
// nothing, unless it alone refers to the object. Such objects are viewed, and those among them that only
// unknown references see are counted as unjudged.
//
// Only the objects with spare or pinned bytes are listed, each with its references (of more than 64, those that touch are
// one: the first stands for all):
//
//	struct windows *windows;
//	struct error *err = windows_open(analysis, 0, &windows);    // reads the heap
//	for (size_t i = 0; i < windows->objects.count; i++) {
//		const struct windowed_object *object = &windows->objects.items[i];
//		const struct window *window = &windows->list.items[object->first];
//		use(object->id, object->pinned, window[0 .. object->count - 1]);
//	}
//	windows_close(windows);
//
// Not judged, and therefore viewed: slots of up to 16 bytes without pointers, which several tiny
// objects share; objects of 4 GiB and more and what those refer to; objects with finalizers, cleanups or weak pointers.
#ifndef LEDGER_WINDOWS_H
#define LEDGER_WINDOWS_H

#include "heapwhy/stable_vector.h"

#include "graph/analysis.h"
#include "ledger/extents.h"

enum window_kind { WINDOW_SLICE, WINDOW_STRING, WINDOW_POINTER };

// One reference to an object, and what it sees of it.
struct window {
	object_id object;
	uint32_t
		holder; // the object that refers to it, or, when `from_root`, an index in roots.list
	uint32_t
		word : 28; // from the holder's slot to the reference, in words of 8 bytes; 0 for a root
	uint32_t merged : 1; // it stands for others, too
	uint32_t kind : 2;   // enum window_kind
	uint32_t from_root : 1;
	struct extent extent; // in the object's contents, behind its header
};

// A live object that is not seen whole. The bytes are of its slot; what is missing is rounding.
struct windowed_object {
	object_id id;
	uint32_t first, count; // its windows in `list`
	uint32_t viewed, spare, pinned;
};

struct window_vector {
	struct window *items;
	size_t count, capacity;
	struct hw_range range;
};

struct windows {
	struct window_vector list;                        // by object, then by start
	HW_STABLE_VECTOR(struct windowed_object) objects; // by id

	uint64_t spare_bytes, pinned_bytes;        // of all objects
	uint64_t rounding_bytes;                   // of the listed ones
	uint64_t unjudged_bytes, unjudged_objects; // live, and viewed only because nothing is known

	uint64_t *map_arrays; // a bit for each object that is an array of a map's groups or buckets
	uint64_t map_used_bytes, map_slack_bytes; // of these: what holds entries, and the rest
};

// Between typing and analysis_release_target(). `threads`: 0 means as many as the analysis has.
struct error *windows_open(struct analysis *analysis, unsigned threads, struct windows **out);
void windows_close(struct windows *windows); // accepts NULL

// The first listed object from `id` on; the end of the list when there is none.
const struct windowed_object *windows_from(const struct windows *windows, object_id id);

// The listed object `id`, or NULL.
const struct windowed_object *windows_find(const struct windows *windows, object_id id);

// The struct type, innermost, of which the reference is a field: bytes.Buffer for the array of a buffer that is a field of
// something itself. NULL when it is no field, or unknown.
const struct go_type *window_owner(struct analysis *analysis, const struct window *window);

// How the holder refers to the object, by its type: "main.entry.body", "main.cache" (a global), "map[string][]uint8 value",
// "main.serve.func1 captured x", "rows of main.serve" (a local); "" when unknown. At most `size` bytes, not yet cleaned of
// control characters.
void window_describe(
	struct analysis *analysis, const struct window *window, char *buffer, size_t size);

#endif
