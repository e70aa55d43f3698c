// Counting is a walk over three bitmaps; the thought is in when the counts mean something.
//
// The collector's answer is as old as its last collection, ours is of this moment. They may be
// compared when nothing has run in between that could have moved a pointer: no collection is under
// way, no goroutine is running or about to, and next to nothing was allocated since.
//
// A program that ran without allocating, and then went to sleep, is told by its goroutines: the
// collector notes the time on each one that it finds waiting (g.waitsince, runtime/mgcmark.go,
// markroot), and waking up clears the note. Goroutines without one ran after the collection. That
// alone says little, as whoever called runtime.GC() is one of them; but when a good part of what was
// marked is out of reach as well, they have let go of it, and it is garbage that the next collection
// will find.
#include "graph/agreement.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "goruntime/bits.h"
#include "goruntime/goroutine.h"

// Objects that may have been allocated since the collection: a few by the runtime itself, and one
// in so many.
enum { FRESH_FEW = 32, FRESH_ONE_IN = 1024, TINY_BLOCK_BYTES = 16 };

// Marked objects out of reach that goroutines which ran since cannot have dropped unnoticed: more
// mean that they did.
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

// How many of the program's goroutines have run since the last collection.
static uint64_t goroutines_ran(const struct goroutine_list *goroutines)
{
	uint64_t ran = 0;

	for (uint32_t i = 0; i < goroutines->count; i++)
		ran += !goroutines->goroutines[i].system && !goroutines->goroutines[i].wait_ns;
	return ran;
}

static bool state_is_comparable(
	const struct heap *heap, const struct goroutine_list *goroutines, struct agreement *out)
{
	const struct go_runtime *runtime = heap->runtime;
	const struct goroutine *goroutine = goroutine_at_work(goroutines);
	uint64_t fresh = bits_count(heap->fresh, heap->object_count);

	if (!runtime->gcphase)
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
	else if (out->missing > DROPPED_FEW + out->marked / DROPPED_ONE_IN &&
		 goroutines_ran(goroutines))
		say(out,
			"%" PRIu64
			" goroutines ran on after the last collection and have let go of %" PRIu64
			" objects",
			goroutines_ran(goroutines), out->missing);
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

static uint64_t missing_count(const struct heap *heap, const uint64_t *reached, uint64_t *tiny)
{
	uint64_t total = 0;

	*tiny = 0;
	for (uint64_t word = 0; word < bits_words(heap->object_count); word++) {
		uint64_t missing = heap->marked[word] & ~reached[word];

		for (; missing; missing &= missing - 1) {
			object_id id = (object_id)(word * 64 + (uint64_t)__builtin_ctzll(missing));
			const struct span *span = heap_span_of(heap, id);

			total++;
			*tiny += span->noscan && span->elem_size == TINY_BLOCK_BYTES;
		}
	}
	return total;
}

void agreement_compute(const struct heap *heap, struct graph *graph,
	const struct goroutine_list *goroutines, struct agreement *out)
{
	const uint64_t *reached = graph_reached(graph);
	struct agreement agreement = {.marked = bits_count(heap->marked, heap->object_count)};
	uint64_t tiny;

	for (uint64_t i = 0; i < bits_words(heap->object_count); i++)
		agreement.reached +=
			(uint64_t)__builtin_popcountll(reached[i] & heap->allocated[i]);
	agreement.missing = missing_count(heap, reached, &tiny);
	unallocated_count(heap, reached, &agreement);
	agreement.comparable = state_is_comparable(heap, goroutines, &agreement);
	if (agreement.comparable && agreement.missing && agreement.missing == tiny)
		// runtime/mgcmark.go, gcMarkTinyAllocs: 1.19 to 1.27.
		say(&agreement, "what is missing are blocks for tiny objects: the collector keeps "
				"the current one of each P");
	else if (agreement.comparable && goroutines->truncated_stacks)
		say(&agreement, "%" PRIu64 " stacks could not be followed to their end",
			goroutines->truncated_stacks);
	*out = agreement;
}
