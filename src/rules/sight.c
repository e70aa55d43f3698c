// See sight.h.
#include "rules/sight.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "debuginfo/pclntab.h"
#include "goruntime/code_ahead.h"
#include "goruntime/operands.h"
#include "graph/walk.h"
#include "heapwhy/map.h"
#include "rules/goroutines.h"
#include "rules/stacks_ahead.h"
#include "rules/timers.h"

enum {
	OPERANDS_MAX = 4096,    // of one function
	PLACE_BYTES_MAX = 4096, // of a variable
	HEAD_BYTES = 512,
	PATH_NODES_MAX = 256, // of an object's path that are looked at
};

struct addresses {
	remote_addr *items;
	size_t count, capacity;
};

struct sight {
	struct analysis *analysis;
	const struct goroutine_evidence *evidence;
	const char *reason;
	struct rule_run *run;
	struct graph_walk *stacks; // what goroutines' stacks lead to
	// What they will look at of that; and this with what anything but stacks leads to. Found out when first asked for.
	struct graph_walk *ahead, *ahead_or_elsewhere;
	struct addresses
		operands;      // what functions that goroutines are in may yet refer to, ascending
	struct hw_map globals; // object that a global refers to -> index of a root holder
	// Places in the program's data that pointers lead to which goroutines or those functions have, directly or not.
	// Found out when first asked for.
	struct addresses held;
	bool held_known;
};

static bool counts(const void *context, uint32_t index)
{
	const struct sight *sight = context;
	const struct goroutine *goroutine = &sight->analysis->goroutines->goroutines[index];

	enum sleep sleep = sight->evidence->states[index].sleep;

	return sleep != SLEEP_FOREVER && sleep != SLEEP_TOLD &&
	       (goroutine->status != GOROUTINE_WAITING ||
		       strcmp(goroutine->wait_reason, sight->reason) != 0);
}

static struct error *stacks_walk(struct sight *sight)
{
	const struct analysis *analysis = sight->analysis;
	struct error *err = graph_walk_create(analysis->graph, &sight->stacks);

	for (uint32_t i = 0; i < analysis->root_holder_count && !err; i++) {
		uint32_t goroutine = analysis->root_holders[i].goroutine;
		if (goroutine != UINT32_MAX && counts(sight, goroutine))
			err = graph_walk_from(sight->stacks, graph_holder_node(analysis->graph, i));
	}
	return err;
}

static int address_compare(const void *a, const void *b)
{
	remote_addr one = *(const remote_addr *)a, other = *(const remote_addr *)b;

	return one < other ? -1 : one > other;
}

static void addresses_sort(struct addresses *addresses)
{
	if (addresses->count)
		qsort(addresses->items, addresses->count, sizeof(remote_addr), address_compare);
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

// Functions that pending timers will call.
static struct error *timers_gather(struct gathering *gathering, const struct timer_evidence *timers)
{
	const struct pclntab *table = gathering->sight->analysis->runtime->modules[0].pclntab;
	struct pcln_function function;
	struct error *err = NULL;

	for (size_t i = 0; i < timers->list.count && !err; i++) {
		const struct timer *timer = &timers->list.items[i];
		if (timer->pending && timer->code && pclntab_find(table, timer->code, &function))
			err = function_gather(gathering, &function);
	}
	return err;
}

static struct error *operands_find(struct sight *sight, const struct timer_evidence *timers)
{
	const struct goroutine_list *list = sight->analysis->goroutines;
	_cleanup_free_ struct operand *operands = calloc(OPERANDS_MAX, sizeof(*operands));
	struct gathering gathering = {.sight = sight, .operands = operands};
	struct error *err = operands ? NULL : error_no_memory();

	hw_map_init(&gathering.seen);
	for (uint32_t i = 0; i < list->count && !err; i++)
		if (counts(sight, i))
			err = goroutine_gather(&gathering, &list->goroutines[i]);
	if (!err)
		err = timers_gather(&gathering, timers);
	hw_map_deinit(&gathering.seen);
	addresses_sort(&sight->operands);
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
	struct goroutine_evidence *evidence;
	struct timer_evidence *timers;
	sight->run = run;
	sight->analysis = run->analysis;
	sight->reason = reason;
	hw_map_init(&sight->globals);
	struct error *err = goroutine_evidence(run, &evidence);
	if (!err) {
		sight->evidence = evidence;
		err = timer_evidence(run, &timers);
	}
	if (!err)
		err = stacks_walk(sight);
	if (!err)
		err = operands_find(sight, timers);
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
	hw_vector_deinit(&sight->held);
	hw_map_deinit(&sight->globals);
	graph_walk_destroy(sight->stacks);
	graph_walk_destroy(sight->ahead);
	graph_walk_destroy(sight->ahead_or_elsewhere);
	free(sight);
}

static bool addresses_touch(const struct addresses *addresses, remote_addr start, uint64_t size)
{
	size_t at = FIRST_WHERE(i, addresses->count, addresses->items[i] >= start);

	return at < addresses->count && addresses->items[at] - start < size;
}

// ---- memory that has no variable: `var queue = &T{...}` lies in the program's data, and only pointers lead there

static bool is_data(const struct sight *sight, remote_addr address)
{
	const struct go_module *module = &sight->analysis->runtime->modules[0];

	return address >= module->variables && address < module->end;
}

// Notes the words that are pointers into data. False: out of memory.
static bool hold_words(struct sight *sight, const uint64_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_data(sight, words[i]) && !hw_vector_push(&sight->held, words[i]))
			return false;
	return true;
}

static bool stacks_hold(struct sight *sight)
{
	struct analysis *analysis = sight->analysis;
	struct roots words = {.of_data = true};
	struct error *err = goroutines_roots(analysis->heap, analysis->goroutines, &words);
	bool good = !err;

	for (size_t i = 0; i < words.list.count && good; i++)
		if (counts(sight, words.list.items[i].owner))
			good = hold_words(sight, &words.list.items[i].value, 1);
	error_destroy(err);
	roots_deinit(&words);
	return good;
}

static bool group_hold(void *context, const struct word_group *group)
{
	struct sight *sight = context;

	if (!graph_walk_met(sight->stacks, group->object))
		return true;
	for (uint64_t bits = group->pointers; bits; bits &= bits - 1)
		if (!hold_words(sight, &group->words[__builtin_ctzll(bits)], 1))
			return false;
	return true;
}

static bool heap_hold(struct sight *sight)
{
	const struct heap *heap = sight->analysis->heap;
	const uint64_t *live = graph_reached(sight->analysis->graph);
	struct heap_reader *reader;
	struct error *err = heap_reader_create(heap, &reader);
	bool good = !err;

	error_destroy(err);
	for (uint32_t i = 0; i < heap->span_count && good; i++)
		if (heap->spans[i].count && !heap->spans[i].noscan)
			good = heap_scan_span(reader, &heap->spans[i], live, group_hold, sight);
	if (reader)
		heap_reader_destroy(reader);
	return good;
}

// The variable at `address`, or what has no name there: its words, as long as they belong together.
static bool place_hold(struct sight *sight, struct hw_map *places, remote_addr address)
{
	struct analysis *analysis = sight->analysis;
	remote_addr start = typing_global_place(analysis->typing, address & ~UINT64_C(7));
	uint64_t word;

	if (hw_map_get(places, start, NULL))
		return true;
	if (!hw_map_put(places, start, 0))
		return false;
	for (remote_addr at = start; at < start + PLACE_BYTES_MAX && is_data(sight, at);
		at += sizeof(word)) {
		if (at > start && typing_global_place(analysis->typing, at) != start)
			break;
		if (memory_read(&analysis->runtime->memory, at, &word, sizeof(word)) &&
			!hold_words(sight, &word, 1))
			return false;
	}
	return true;
}

// False: out of memory.
static bool held_find(struct sight *sight)
{
	bool good = heap_hold(sight) && stacks_hold(sight);
	struct hw_map places;

	hw_map_init(&places);
	for (size_t i = 0; i < sight->operands.count && good; i++)
		good = place_hold(sight, &places, sight->operands.items[i]);
	// Grows meanwhile, by what the places hold.
	for (size_t i = 0; i < sight->held.count && good; i++)
		good = place_hold(sight, &places, sight->held.items[i]);
	hw_map_deinit(&places);
	addresses_sort(&sight->held);
	return good;
}

// Does a pointer that somebody has lead to the memory? It may begin before the first word that code refers to.
static bool is_held(struct sight *sight, const struct global_name *global, remote_addr slot)
{
	remote_addr start = global->start - HEAD_BYTES;
	const struct go_type *type;
	uint64_t offset;

	if (!sight->held_known && !held_find(sight))
		return true;
	sight->held_known = true;
	if (typing_global_part(sight->analysis->typing, global, slot, &type, &offset) &&
		slot - offset < start)
		start = slot - offset;
	return addresses_touch(&sight->held, start, slot + sizeof(uint64_t) - start);
}

// Functions always refer to something, unless they cannot be read: on other machines than amd64.
static bool is_blind(const struct sight *sight)
{
	return !sight->operands.count;
}

// The root holder where the object's shortest path begins, or NULL; a global variable that refers to something on that path
// goes first, the closest one.
static const struct root_holder *root_of(const struct sight *sight, object_id object)
{
	const struct analysis *analysis = sight->analysis;
	node_id node = object;
	uint64_t fine;

	for (unsigned i = 0; i < PATH_NODES_MAX && node < analysis->heap->object_count; i++) {
		if (hw_map_get(&sight->globals, node, &fine))
			return &analysis->root_holders[fine];
		node = graph_parent(analysis->graph, node);
	}
	return node == NODE_NONE || node < analysis->heap->object_count
		       ? NULL
		       : &analysis->root_holders[node - graph_holder_node(analysis->graph, 0)];
}

// The one of the global variable that the object hangs on, or NULL.
static const struct root_holder *global_of(const struct sight *sight, object_id object)
{
	const struct root_holder *root = root_of(sight, object);

	return root && sight->analysis->holders[root->holder].kind == HOLDER_GLOBAL ? root : NULL;
}

static bool sight_of_variable(
	struct sight *sight, const struct global_name *global, remote_addr slot)
{
	uint64_t size = global->size ? global->size : sizeof(uint64_t);

	return addresses_touch(&sight->operands, global->start, size) ||
	       (global->unnamed && is_held(sight, global, slot));
}

bool sight_of_object(struct sight *sight, object_id object)
{
	const struct analysis *analysis = sight->analysis;

	if (is_blind(sight) || graph_walk_met(sight->stacks, object))
		return true;
	const struct root_holder *root = global_of(sight, object);
	return !root || sight_of_variable(sight, &analysis->holders[root->holder].global,
				analysis->roots.list.items[root->first_root].slot);
}

// `elsewhere`: from other roots, too.
static struct error *ahead_find(struct sight *sight, bool elsewhere, struct graph_walk **out)
{
	const struct analysis *analysis = sight->analysis;
	struct graph_walk *walk = NULL;
	struct error *err = graph_walk_create(analysis->graph, &walk);
	bool send = !strcmp(sight->reason, "chan send"); // only receivers wake those

	for (uint32_t i = 0; elsewhere && i < analysis->root_holder_count && !err; i++)
		if (analysis->root_holders[i].goroutine == UINT32_MAX)
			err = graph_walk_from(walk, graph_holder_node(analysis->graph, i));
	if (!err)
		err = stacks_ahead_walk(
			sight->run, send ? FRAME_RECEIVES : FRAME_WAKES, counts, sight, walk);
	if (err)
		graph_walk_destroy(walk);
	else
		*out = walk;
	return err;
}

// Does a goroutine come to the object by what it has on its stack and the code ahead of it?
static bool is_ahead(struct sight *sight, object_id object, bool or_elsewhere)
{
	struct graph_walk **walk = or_elsewhere ? &sight->ahead_or_elsewhere : &sight->ahead;
	struct error *err = *walk ? NULL : ahead_find(sight, or_elsewhere, walk);
	bool failed = err;

	error_destroy(err);
	return failed || graph_walk_met(*walk, object);
}

bool sight_of_object_ahead(struct sight *sight, object_id object)
{
	const struct analysis *analysis = sight->analysis;
	const struct root_holder *root;

	if (!sight_of_object(sight, object))
		return false;
	root = root_of(sight, object);
	if (is_blind(sight) || !root)
		return true;
	if (root->goroutine != UINT32_MAX)
		return is_ahead(sight, object, true);
	const struct holder *holder = &analysis->holders[root->holder];
	return holder->kind != HOLDER_GLOBAL ||
	       sight_of_variable(
		       sight, &holder->global, analysis->roots.list.items[root->first_root].slot) ||
	       is_ahead(sight, object, false);
}

bool sight_of_global(struct sight *sight, remote_addr address)
{
	struct global_name global;

	return is_blind(sight) || !typing_global(sight->analysis->typing, address, &global) ||
	       address - global.start >= global.size || sight_of_variable(sight, &global, address);
}

remote_addr sight_variable(const struct sight *sight, object_id object)
{
	const struct root_holder *root = global_of(sight, object);

	return root ? sight->analysis->roots.list.items[root->first_root].slot : 0;
}
