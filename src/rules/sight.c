// See sight.h.
#include "rules/sight.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "goruntime/code_ahead.h"
#include "goruntime/operands.h"
#include "graph/walk.h"
#include "heapwhy/map.h"

enum { OPERANDS_MAX = 4096 }; // of one function

struct sight {
	struct analysis *analysis;
	const char *reason;
	struct graph_walk *stacks; // what goroutines' stacks lead to
	HW_VECTOR(remote_addr)
	operands;              // what functions that goroutines are in may yet refer to, ascending
	struct hw_map globals; // object that a global refers to -> index of a root holder
};

static bool counts(const struct sight *sight, const struct goroutine *goroutine)
{
	return goroutine->status != GOROUTINE_WAITING ||
	       strcmp(goroutine->wait_reason, sight->reason) != 0;
}

static struct error *stacks_walk(struct sight *sight)
{
	const struct analysis *analysis = sight->analysis;
	struct error *err = graph_walk_create(analysis->graph, &sight->stacks);

	for (uint32_t i = 0; i < analysis->root_holder_count && !err; i++) {
		uint32_t goroutine = analysis->root_holders[i].goroutine;
		if (goroutine != UINT32_MAX &&
			counts(sight, &analysis->goroutines->goroutines[goroutine]))
			err = graph_walk_from(sight->stacks, graph_holder_node(analysis->graph, i));
	}
	return err;
}

static int address_compare(const void *a, const void *b)
{
	remote_addr one = *(const remote_addr *)a, other = *(const remote_addr *)b;

	return one < other ? -1 : one > other;
}

// Gathering operands.
struct gathering {
	struct sight *sight;
	struct hw_map
		seen; // a function's entry, whose operands are there already; a place in one -> AHEAD_...
	struct operand *operands; // OPERANDS_MAX
};

enum { AHEAD_ONCE = 1, AHEAD_AGAIN = 2 };

static struct error *operands_take(
	struct gathering *gathering, const remote_addr *addresses, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!hw_vector_push(&gathering->sight->operands, addresses[i]))
			return error_no_memory();
	return NULL;
}

// Adds what the whole function refers to, once a function.
static struct error *function_gather(
	struct gathering *gathering, const struct pcln_function *function)
{
	const struct go_runtime *runtime = gathering->sight->analysis->runtime;
	struct error *err = NULL;

	if (hw_map_get(&gathering->seen, function->entry, NULL))
		return NULL;
	if (!hw_map_put(&gathering->seen, function->entry, AHEAD_AGAIN))
		return error_no_memory();
	size_t count =
		function_operands(runtime, function->name, gathering->operands, OPERANDS_MAX);
	for (size_t i = 0; i < count && !err; i++)
		err = operands_take(gathering, &gathering->operands[i].address, 1);
	return err;
}

static bool calls_function(const struct code_ahead *ahead, remote_addr entry)
{
	for (size_t i = 0; i < ahead->calls.count; i++)
		if (ahead->calls.items[i] == entry)
			return true;
	return false;
}

// Adds what the frame's function may yet refer to, once a place. *again: it may call once more what it is waiting for,
// the function at `inner`.
static struct error *frame_gather(struct gathering *gathering, const struct frame *frame,
	const struct pcln_function *function, remote_addr inner, bool *again)
{
	struct code_ahead ahead = {0};
	struct error *err = NULL;
	uint64_t known;

	if (hw_map_get(&gathering->seen, frame->pc, &known)) {
		*again = known == AHEAD_AGAIN;
		return NULL;
	}
	if (code_ahead_find(gathering->sight->analysis->runtime, function, frame, &ahead)) {
		*again = ahead.again || calls_function(&ahead, inner);
		err = operands_take(gathering, ahead.operands.items, ahead.operands.count);
	} else {
		*again = true;
		err = function_gather(gathering, function);
	}
	code_ahead_deinit(&ahead);
	if (!err && !hw_map_put(&gathering->seen, frame->pc, *again ? AHEAD_AGAIN : AHEAD_ONCE))
		err = error_no_memory();
	return err;
}

// From the outermost frame on: below one that may make its call again all of a function may be executed.
static struct error *goroutine_gather(
	struct gathering *gathering, const struct goroutine *goroutine)
{
	const struct goroutine_list *list = gathering->sight->analysis->goroutines;
	const struct pclntab *table = gathering->sight->analysis->runtime->modules[0].pclntab;
	struct pcln_function function, inner;
	bool again = false;
	struct error *err = NULL;

	for (uint32_t f = goroutine->frame_count; f-- > 0 && !err;) {
		const struct frame *frame = &list->frames[goroutine->first_frame + f];
		if (frame->module || !pclntab_function(table, frame->function, &function)) {
			again = true;
			continue;
		}
		bool calls = f && !frame[-1].module &&
			     pclntab_function(table, frame[-1].function, &inner);
		err = again ? function_gather(gathering, &function)
			    : frame_gather(
				      gathering, frame, &function, calls ? inner.entry : 0, &again);
	}
	return err;
}

static struct error *operands_find(struct sight *sight)
{
	const struct goroutine_list *list = sight->analysis->goroutines;
	_cleanup_free_ struct operand *operands = calloc(OPERANDS_MAX, sizeof(*operands));
	struct gathering gathering = {.sight = sight, .operands = operands};
	struct error *err = operands ? NULL : error_no_memory();

	hw_map_init(&gathering.seen);
	for (uint32_t i = 0; i < list->count && !err; i++)
		if (counts(sight, &list->goroutines[i]))
			err = goroutine_gather(&gathering, &list->goroutines[i]);
	hw_map_deinit(&gathering.seen);
	if (!err && sight->operands.count)
		qsort(sight->operands.items, sight->operands.count, sizeof(remote_addr),
			address_compare);
	return err;
}

static struct error *globals_find(struct sight *sight)
{
	const struct analysis *analysis = sight->analysis;

	for (uint32_t i = 0; i < analysis->root_holder_count; i++) {
		const struct root_holder *fine = &analysis->root_holders[i];
		if (analysis->holders[fine->holder].kind != HOLDER_GLOBAL)
			continue;
		object_id object = heap_find(
			analysis->heap, analysis->roots.list.items[fine->first_root].value);
		if (object != OBJECT_NONE && !hw_map_put(&sight->globals, object, i))
			return error_no_memory();
	}
	return NULL;
}

struct error *sight_create(struct rule_run *run, const char *reason, struct sight **out)
{
	struct sight *sight = calloc(1, sizeof(*sight));

	if (!sight)
		return error_no_memory();
	sight->analysis = run->analysis;
	sight->reason = reason;
	hw_map_init(&sight->globals);
	struct error *err = stacks_walk(sight);
	if (!err)
		err = operands_find(sight);
	if (!err)
		err = globals_find(sight);
	if (err)
		sight_destroy(sight);
	else
		*out = sight;
	return err;
}

void sight_destroy(struct sight *sight)
{
	if (!sight)
		return;
	hw_vector_deinit(&sight->operands);
	hw_map_deinit(&sight->globals);
	graph_walk_destroy(sight->stacks);
	free(sight);
}

static bool is_referred_to(const struct sight *sight, remote_addr start, uint64_t size)
{
	size_t low = 0, high = sight->operands.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sight->operands.items[middle] < start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < sight->operands.count && sight->operands.items[low] - start < size;
}

// Functions always refer to something, unless they cannot be read: on other machines than amd64.
static bool is_blind(const struct sight *sight)
{
	return !sight->operands.count;
}

// The global variable that the object hangs on, or NULL.
static const struct holder *global_of(const struct sight *sight, object_id object)
{
	const struct analysis *analysis = sight->analysis;
	node_id ends[2]; // of the path: where it begins, and the object
	size_t skipped;
	uint64_t fine;

	if (!hw_map_get(&sight->globals, object, &fine)) {
		if (!graph_path(analysis->graph, object, ends, ARRAY_COUNT(ends), &skipped))
			return NULL;
		fine = ends[0] - graph_holder_node(analysis->graph, 0);
	}
	const struct holder *holder = &analysis->holders[analysis->root_holders[fine].holder];
	return holder->kind == HOLDER_GLOBAL ? holder : NULL;
}

bool sight_of_object(const struct sight *sight, object_id object)
{
	if (is_blind(sight) || graph_walk_met(sight->stacks, object))
		return true;
	const struct holder *holder = global_of(sight, object);
	return !holder || is_referred_to(sight, holder->global.start,
				  holder->global.size ? holder->global.size : sizeof(uint64_t));
}

bool sight_of_global(const struct sight *sight, remote_addr address)
{
	struct global_name global;

	return is_blind(sight) || !typing_global(sight->analysis->typing, address, &global) ||
	       address - global.start >= global.size ||
	       is_referred_to(sight, global.start, global.size);
}
