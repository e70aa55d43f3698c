// One look at a running Go process, for tests that compare what heapwhy found with what Go says or does: capture, heap,
// goroutines, roots, and the reachable objects by the plainest algorithm there is.
#ifndef TESTS_OBSERVATION_H
#define TESTS_OBSERVATION_H

#include "goruntime/goroutine.h"
#include "goruntime/heap.h"
#include "goruntime/roots.h"
#include "target/process.h"

struct observation {
	struct target *target;
	struct go_runtime *runtime;
	struct heap *heap;
	struct goroutine_list *goroutines;
	struct roots roots;
	uint64_t *precise; // a bit a slot: reached from precise roots
	uint64_t *reached; // ... from any root
};

// Which roots to start from. NULL: all.
typedef bool (*root_filter)(const struct observation *observation, const struct root *root);

// Everything but the last two. On failure nothing is left open.
struct error *observation_open(pid_t pid, enum capture_method method, struct observation *out);
void observation_close(struct observation *observation);

// Fills `precise` and `reached`.
struct error *observation_mark(struct observation *observation);

// A bitmap of the slots reached from the precise roots that pass `filter`. Free it.
struct error *observation_reach(
	struct observation *observation, root_filter filter, uint64_t **out);

// A bitmap of the slots reached from any word in memory for stacks, in use or not, and in any register; or from the
// registers of threads that are on the stack of a running goroutine. Free it.
enum raw_words { RAW_LEFTOVERS, RAW_REGISTERS };
struct error *observation_reach_raw(
	struct observation *observation, enum raw_words words, uint64_t **out);

#endif
