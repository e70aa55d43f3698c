// The runtime's own memory: what it says it has, and where some of it lies.
#ifndef GORUNTIME_RUNTIME_MEMORY_H
#define GORUNTIME_RUNTIME_MEMORY_H

#include "goruntime/heap.h"

// runtime.MemStats, in bytes, without asking the runtime.
struct runtime_counters {
	bool heap_known;   // gcController was found
	uint64_t in_use;   // MemStats.HeapInuse
	uint64_t idle;     // HeapIdle
	uint64_t released; // HeapReleased: of these, given back to the kernel
	bool others_known; // memstats was found
	// Taken from the kernel, not necessarily in memory: MSpanSys, MCacheSys, BuckHashSys, GCSys, OtherSys (GCSys and
	// OtherSys without what lies in spans of the heap).
	uint64_t spans, caches, profile, gc, other;
};
void runtime_counters_read(const struct heap *heap, struct runtime_counters *out);

enum runtime_part {
	RUNTIME_ARENA_TABLES,   // which span a page belongs to; pointer bitmaps up to 1.21
	RUNTIME_PAGE_ALLOCATOR, // which pages are free
};

// Calls visit for the stretches of memory that are known to be such parts; they may be reserved and not in memory.
typedef void (*runtime_part_visit)(
	void *context, enum runtime_part part, remote_addr start, remote_addr end);
void runtime_parts(const struct heap *heap, runtime_part_visit visit, void *context);

#endif
