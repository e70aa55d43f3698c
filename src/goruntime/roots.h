// Where the collector starts: every root, with what it belongs to.
#ifndef GORUNTIME_ROOTS_H
#define GORUNTIME_ROOTS_H

#include "goruntime/heap.h"
#include "heapwhy/vector.h"

struct goroutine_list;

enum root_kind {
	ROOT_GLOBAL,    // a word of data or bss; `slot` is its address
	ROOT_STACK,     // a word of a goroutine's stack, or one of its registers; `owner` is the
			// goroutine's index
	ROOT_DEFER,     // a deferred call or panic of goroutine `owner`
	ROOT_FINALIZER, // what an object with a finalizer points to, and the finalizer function
			// itself
	ROOT_CLEANUP,   // a cleanup function and its argument
	ROOT_QUEUED,    // finalizers and cleanups that are ready to run
	ROOT_WEAK,      // handles of weak pointers that the runtime keeps
	ROOT_RUNTIME,   // anything else that the collector marks from
};

struct root {
	enum root_kind kind;
	bool precise;   // false: found by conservative scanning; it keeps an object only if that is
			// allocated
	uint32_t owner; // goroutine index, module index, or 0; ROOT_FINALIZER, ROOT_CLEANUP,
			// ROOT_WEAK: the object_id of whose it is
	uint32_t frame; // ROOT_STACK: the frame's number in that goroutine, 0 = innermost; else 0
	remote_addr slot;  // address of the word that holds the pointer; 0 for a register
	remote_addr value; // the pointer; always into the heap (others are dropped)
};

struct roots {
	HW_VECTOR(struct root) list;
	bool of_data; // asked for are pointers into the modules' variables instead of the heap
	uint64_t conservative_words; // words that had to be scanned conservatively
	uint64_t conservative_frames;
	uint64_t unknown_frames; // program counters without a function: the rest of that stack was
				 // scanned conservatively
	uint64_t missing_maps;   // frames whose stack map was missing or damaged
};

// All roots of the heap, goroutine stacks included.
struct error *roots_collect(
	struct heap *heap, const struct goroutine_list *goroutines, struct roots *out);
void roots_deinit(struct roots *roots);

// For those who produce roots (stack.c, specials.c): adds one if `value` lies in a span in use, or, if so asked, in data.
// False: out of memory.
bool roots_add(struct roots *roots, const struct heap *heap, const struct root *root);

// Data and bss words, finalizers, cleanups, weak handles, queues: everything but stacks (roots.c).
struct error *roots_collect_static(struct heap *heap, struct roots *out);

#endif
