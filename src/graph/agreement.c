// Counting is a walk over three bitmaps; the thought is in when the counts mean something.
//
// The collector's answer is as old as its last collection, ours is of this moment. They may be
// compared when nothing has run in between that could have moved a pointer: no collection is under
// way, no goroutine is running or about to, and next to nothing was allocated since.
//
// A program that ran without allocating much, and then went to sleep, leaves no trace but this one:
// a good part of what was marked is out of reach. It let go of it, and the next collection finds it
// (docs/agreement.md shows that on a real program). Where that is so, nothing can be compared.
#include "graph/agreement.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "goruntime/bits.h"
#include "goruntime/goroutine.h"
#include "goruntime/specials.h"

// Objects that may have been allocated since the collection: a few by the runtime itself, and one
// in so many.
enum { FRESH_FEW = 32, FRESH_ONE_IN = 1024, TINY_BLOCK_BYTES = 16 };

// Marked objects out of reach: more than this many are no error of ours or of the collector's, but
// dropped by the program since.
enum { DROPPED_FEW = 1024, DROPPED_ONE_IN = 100 };

static void say(struct agreement *agreement, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void say(struct agreement *agreement, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(agreement->why, sizeof(agreement->why), format, arguments);
	va_end(arguments);
}

static uint64_t bits_count(const uint64_t *bits, uint64_t count)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < bits_words(count); i++)
		total += (uint64_t)__builtin_popcountll(bits[i]);
	return total;
}

// A goroutine that may have changed pointers since the collection, or NULL.
static const struct goroutine *goroutine_at_work(const struct goroutine_list *goroutines)
{
	for (uint32_t i = 0; i < goroutines->count; i++) {
		const struct goroutine *goroutine = &goroutines->goroutines[i];

		switch (goroutine->status) {
		case GOROUTINE_RUNNABLE:
		case GOROUTINE_RUNNING:
		case GOROUTINE_PREEMPTED:
		case GOROUTINE_COPYSTACK:
			if (!goroutine->system)
				return goroutine;
			break;
		default:
			break;
		}
	}
	return NULL;
}

static bool state_is_comparable(
	const struct heap *heap, const struct goroutine_list *goroutines, struct agreement *out)
{
	const struct go_runtime *runtime = heap->runtime;
	const struct goroutine *goroutine = goroutine_at_work(goroutines);
	uint64_t fresh = bits_count(heap->fresh, heap->object_count);

	if (heap->absent_bytes)
		say(out, "the core does not hold all of the heap");
	else if (!runtime->gcphase)
		say(out, "whether the collector was at work could not be found out");
	else if (runtime->gc_phase != GC_OFF)
		say(out, "the collector was at work");
	else if (!runtime->gc_count)
		say(out, "the program has not collected yet");
	else if (goroutine)
		say(out,
			"goroutine %" PRIu64
			" was at work, so pointers have changed since the last collection",
			goroutine->id);
	else if (fresh > FRESH_FEW + out->marked / FRESH_ONE_IN)
		say(out, "%" PRIu64 " objects were allocated since the last collection", fresh);
	else if (out->missing > DROPPED_FEW + out->marked / DROPPED_ONE_IN)
		say(out,
			"the program ran on after its last collection: %" PRIu64
			" objects marked by it are out of reach now",
			out->missing);
	else
		return true;
	return false;
}

// Splits slots that we reached though they hold no object: dead ones that wait for the sweeper, and
// free ones.
static void unallocated_count(
	const struct heap *heap, const uint64_t *reached, struct agreement *out)
{
	for (uint64_t word = 0; word < bits_words(heap->object_count); word++) {
		uint64_t wrong = reached[word] & ~heap->allocated[word];

		for (; wrong; wrong &= wrong - 1) {
			object_id id = (object_id)(word * 64 + (uint64_t)__builtin_ctzll(wrong));

			if (id >= heap->object_count)
				break;
			if (span_is_unswept(heap, heap_span_of(heap, id)))
				out->extra++;
			else
				out->impossible++;
		}
	}
}

// What the collector marks though nothing refers to it: floating garbage, which the next collection
// frees. These objects, and what only they refer to, are missing in any honest count; `why` says
// what they are.
struct floating {
	const struct heap *heap;
	uint64_t *bits; // missing objects that no other unreached one refers to; of these:
	// Each P's current block for tiny objects (gcMarkTinyAllocs, 1.19 to 1.27).
	uint64_t tiny;
	// Made strong from weak while the collector marked, as the unique package does with all of
	// its values (runtime/mheap.go, internal_weak_runtime_makeStrongFromWeak, 1.23 on).
	uint64_t weak;
	// The others: allocated, or let go, while the collector marked.
	uint64_t unowned;
};

static bool successor_drop(void *context, node_id node)
{
	struct floating *floating = context;

	if (node < floating->heap->object_count)
		floating->bits[node / 64] &= ~(UINT64_C(1) << node % 64);
	return true;
}

static bool weak_count(void *context, const struct special *special)
{
	struct floating *floating = context;
	uint64_t bit = UINT64_C(1) << special->object % 64;

	if (special->kind == floating->heap->runtime->layout.special_weak &&
		floating->bits[special->object / 64] & bit) {
		floating->bits[special->object / 64] &= ~bit;
		floating->weak++;
	}
	return true;
}

// False when out of memory.
static bool floating_count(
	const struct heap *heap, struct graph *graph, const uint64_t *reached, struct floating *out)
{
	uint64_t words = bits_words(heap->object_count);
	_cleanup_free_ uint64_t *bits = calloc(words + 1, sizeof(*bits));
	struct floating floating = {.heap = heap, .bits = bits};

	if (!bits)
		return false;
	for (uint64_t i = 0; i < words; i++)
		bits[i] = heap->marked[i] & ~reached[i];
	for (uint64_t i = 0; i < words; i++) {
		for (uint64_t unreached = heap->allocated[i] & ~reached[i]; unreached;
			unreached &= unreached - 1)
			graph_successors(graph,
				(node_id)(i * 64 + (uint64_t)__builtin_ctzll(unreached)),
				successor_drop, &floating);
	}
	for (uint32_t i = 0; i < heap->span_count; i++) {
		const struct span *span = &heap->spans[i];

		if (span->count && span->specials)
			specials_walk(heap, span, weak_count, &floating);
	}
	for (uint64_t i = 0; i < words; i++) {
		for (uint64_t left = bits[i]; left; left &= left - 1) {
			object_id id = (object_id)(i * 64 + (uint64_t)__builtin_ctzll(left));
			const struct span *span = heap_span_of(heap, id);
			bool tiny = span->noscan && span->elem_size == TINY_BLOCK_BYTES;

			floating.tiny += tiny;
			floating.unowned += !tiny;
		}
	}
	*out = floating;
	return true;
}

static void missing_explain(const struct heap *heap, struct graph *graph, const uint64_t *reached,
	struct agreement *out)
{
	struct floating floating;

	if (floating_count(heap, graph, reached, &floating))
		say(out,
			"of those missing nothing refers to %" PRIu64 ": %" PRIu64
			" blocks for tiny objects, %" PRIu64 " with weak pointers, %" PRIu64
			" let go while the collector marked; the rest hangs on these",
			floating.tiny + floating.weak + floating.unowned, floating.tiny,
			floating.weak, floating.unowned);
}

void agreement_compute(const struct heap *heap, struct graph *graph,
	const struct goroutine_list *goroutines, struct agreement *out)
{
	const uint64_t *reached = graph_reached(graph);
	struct agreement agreement = {.marked = bits_count(heap->marked, heap->object_count)};

	for (uint64_t i = 0; i < bits_words(heap->object_count); i++) {
		agreement.reached +=
			(uint64_t)__builtin_popcountll(reached[i] & heap->allocated[i]);
		agreement.missing += (uint64_t)__builtin_popcountll(heap->marked[i] & ~reached[i]);
	}
	unallocated_count(heap, reached, &agreement);
	agreement.comparable = state_is_comparable(heap, goroutines, &agreement);
	if (agreement.comparable && goroutines->truncated_stacks)
		say(&agreement, "%" PRIu64 " stacks could not be followed to their end",
			goroutines->truncated_stacks);
	else if (agreement.comparable && agreement.missing)
		missing_explain(heap, graph, reached, &agreement);
	*out = agreement;
}
