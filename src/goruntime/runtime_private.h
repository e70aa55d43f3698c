// Shared by the parts of goruntime that read the runtime's own tables.
#ifndef GORUNTIME_RUNTIME_PRIVATE_H
#define GORUNTIME_RUNTIME_PRIVATE_H

#include "goruntime/runtime.h"

enum {
	HEAP_BITS_OBJECT_MAX =
		512, // runtime/mbitmap.go, heapBitsInSpan: larger ones have a header (1.22 on)
	INLINE_MARKS_MIN = 16, // gcUsesSpanInlineMarkBits: slots from here to HEAP_BITS_OBJECT_MAX
	INLINE_MARKS_BYTES = 128, // sizeof(spanInlineMarkBits), at the end of the span's page
	ARENA_COUNT = 1 << 22,    // entries of mheap_.arenas[0]
};

#define ARENA_BASE_AMD64 UINT64_C(0xffff800000000000)

// runtime/malloc.go, arenaBaseOffset: arenas are numbered from the lowest canonical address on, which
// on arm64 is 0.
static inline remote_addr arena_base(const struct go_runtime *runtime)
{
	return runtime->target->arch == ARCH_AMD64 ? ARENA_BASE_AMD64 : 0;
}

// Notices that a linked list of the target bites its own tail (Brent's algorithm: the mark moves on
// after 1, 2, 4, ... steps, so that a ring is noticed before it has been walked three times).
//
//	struct list_guard guard = {0};
//	for (address = head; address && list_guard_step(&guard, address); address = next)
struct list_guard {
	remote_addr mark;
	uint64_t steps, until;
};

static inline bool list_guard_step(struct list_guard *guard, remote_addr address)
{
	if (address == guard->mark)
		return false;
	if (guard->steps++ == guard->until) {
		guard->mark = address;
		guard->until = guard->until * 2 + 1;
	}
	return true;
}

// Copies the words of the Go slice whose header is at `slice`. Free `*words`. Refuses more than
// `max` words, and slices that are not in mapped memory.
struct error *go_read_words(struct go_runtime *runtime, remote_addr slice, uint64_t max,
	uint64_t **words, uint64_t *count);

// Finds and opens the main program's module and those of plugins (modules.c).
struct error *modules_locate(struct go_runtime *runtime);

// Finds the runtime's variables (variables.c). Remarks on what was found in an unusual way go to
// runtime->notes.
struct error *variables_locate(struct go_runtime *runtime);

// Whether arena.spans[page] leads back to each of a sample of `count` spans; false also when none
// is in use.
bool spans_agree(struct go_runtime *runtime, remote_addr mheap, uint64_t sample);

// Whether the slice at `allgs` is one of goroutines, `sample` of which are looked at.
bool goroutines_agree(struct go_runtime *runtime, remote_addr allgs, uint64_t sample);

// Adds a sentence to runtime->notes.
void runtime_note(struct go_runtime *runtime, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
