// See observation.h.
#include "observation.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "heapwhy/vector.h"

struct marker {
	struct observation *observation;
	struct heap_reader *reader;
	uint64_t *bits;
	struct {
		object_id *items;
		size_t count, capacity;
	} work;
	bool no_memory;
};

static void mark(struct marker *marker, remote_addr pointer, bool precise)
{
	const struct heap *heap = marker->observation->heap;
	object_id id = heap_find(heap, pointer);

	// A conservatively found pointer keeps an object only if the slot is in use.
	if (id == OBJECT_NONE || heap_bit(marker->bits, id) ||
		(!precise && !heap_bit(heap->allocated, id)))
		return;
	marker->bits[id >> 6] |= UINT64_C(1) << (id & 63);
	if (!heap_span_of(heap, id)->noscan && !hw_vector_push(&marker->work, id))
		marker->no_memory = true;
}

static bool mark_words(void *context, const struct word_group *group)
{
	for (uint64_t left = group->pointers; left; left &= left - 1)
		mark(context, group->words[__builtin_ctzll(left)], true);
	return true;
}

static void mark_queued(struct marker *marker)
{
	while (marker->work.count && !marker->no_memory)
		heap_scan_object(marker->reader, marker->work.items[--marker->work.count],
			mark_words, marker);
}

static void mark_all(struct marker *marker, bool precise, root_filter filter)
{
	const struct observation *observation = marker->observation;

	for (size_t i = 0; i < observation->roots.list.count; i++) {
		const struct root *root = &observation->roots.list.items[i];
		if (root->precise == precise && (!filter || filter(observation, root)))
			mark(marker, root->value, precise);
		mark_queued(marker);
	}
}

static struct error *marker_init(struct marker *marker, struct observation *observation)
{
	*marker = (struct marker){.observation = observation};
	marker->bits = calloc(observation->heap->object_count / 64 + 1, sizeof(*marker->bits));
	if (!marker->bits)
		return error_no_memory();
	return heap_reader_create(observation->heap, &marker->reader);
}

static struct error *marker_finish(struct marker *marker)
{
	heap_reader_destroy(marker->reader);
	hw_vector_deinit(&marker->work);
	return marker->no_memory ? error_no_memory() : NULL;
}

// Hands the bitmap over, unless it failed.
static struct error *marker_result(struct marker *marker, uint64_t **out)
{
	struct error *err = marker_finish(marker);

	if (err)
		free(marker->bits);
	else
		*out = marker->bits;
	return err;
}

struct error *observation_reach(struct observation *observation, root_filter filter, uint64_t **out)
{
	struct marker marker;
	struct error *err = marker_init(&marker, observation);

	if (err) {
		free(marker.bits);
		return err;
	}
	mark_all(&marker, true, filter);
	return marker_result(&marker, out);
}

// Stacks lie in spans that are managed by hand, as other things do, but only they have elements
// (runtime/stack.go, stackpoolalloc and stackalloc).
static void mark_stacks(struct marker *marker)
{
	const struct heap *heap = marker->observation->heap;

	for (uint32_t s = 0; s < heap->span_count; s++) {
		const struct span *span = &heap->spans[s];
		uint64_t words[GO_PAGE_SIZE / 8];

		if (span->state != SPAN_MANUAL || !span->elem_size)
			continue;
		for (uint32_t page = 0; page < span->pages; page++) {
			target_read_sparse(marker->observation->target,
				span->base + (uint64_t)page * GO_PAGE_SIZE, words, sizeof(words));
			for (size_t i = 0; i < ARRAY_COUNT(words); i++)
				mark(marker, words[i], false);
			mark_queued(marker);
		}
	}
}

static bool runs_goroutine(const struct observation *observation, remote_addr sp)
{
	const struct goroutine_list *list = observation->goroutines;

	for (uint32_t i = 0; i < list->count; i++)
		if (list->goroutines[i].status == GOROUTINE_RUNNING &&
			list->goroutines[i].stack_low <= sp && sp < list->goroutines[i].stack_high)
			return true;
	return false;
}

// A thread on a stack of its own, or in a system call, may have anything left in its registers: those do not count, unless
// all shall.
static void mark_registers(struct marker *marker, bool all)
{
	const struct target *target = marker->observation->target;

	for (size_t t = 0; t < target->thread_count; t++) {
		const struct registers *registers = &target->threads[t].registers;
		if (!all && !runs_goroutine(marker->observation, registers->sp))
			continue;
		for (unsigned i = 0; i < registers->word_count; i++)
			mark(marker, registers->words[i], false);
	}
	mark_queued(marker);
}

struct error *observation_reach_raw(
	struct observation *observation, enum raw_words words, uint64_t **out)
{
	struct marker marker;
	struct error *err = marker_init(&marker, observation);

	if (err) {
		free(marker.bits);
		return err;
	}
	if (words == RAW_LEFTOVERS)
		mark_stacks(&marker);
	mark_registers(&marker, words == RAW_LEFTOVERS);
	return marker_result(&marker, out);
}

struct error *observation_mark(struct observation *observation)
{
	size_t bytes = (observation->heap->object_count / 64 + 1) * sizeof(uint64_t);
	struct marker marker;
	struct error *err = marker_init(&marker, observation);

	if (!err) {
		mark_all(&marker, true, NULL);
		observation->precise = malloc(bytes);
		if (observation->precise)
			memcpy(observation->precise, marker.bits, bytes);
		else
			marker.no_memory = true;
		mark_all(&marker, false, NULL);
		err = marker_finish(&marker);
	}
	observation->reached = marker.bits;
	return err;
}

struct error *observation_open(pid_t pid, enum capture_method method, struct observation *out)
{
	struct capture_options options = {method};
	struct error *err;

	memset(out, 0, sizeof(*out));
	err = process_capture(pid, &options, &out->target);
	if (!err)
		err = go_runtime_open(out->target, &out->runtime);
	if (!err)
		err = heap_open(out->runtime, &out->heap);
	if (!err)
		err = goroutines_read(out->heap, &out->goroutines);
	if (!err)
		err = roots_collect(out->heap, out->goroutines, &out->roots);
	if (err)
		observation_close(out);
	return err;
}

void observation_close(struct observation *observation)
{
	free(observation->precise);
	free(observation->reached);
	roots_deinit(&observation->roots);
	goroutines_destroy(observation->goroutines);
	heap_close(observation->heap);
	go_runtime_close(observation->runtime);
	target_destroy(observation->target);
	memset(observation, 0, sizeof(*observation));
}
