// channel-backlog: elements in a channel's buffer that nobody is there to receive.
//
// A channel that is only a buffer between a sender and a slow receiver is healthy, so it has to be shown that there is
// no receiver: no goroutine's stack leads to the channel (one that receives from it or works on what it received has it
// there), and no function that some goroutine is in refers to the global variable that the channel hangs on (one that
// looks in now and then reads it there). Suspected only: somebody may yet be started.
//
// What a channel's senders cannot get rid of, because nobody can reach it, is a matter of goroutine-leak.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "goruntime/operands.h"
#include "goruntime/positions.h"
#include "graph/walk.h"
#include "heapwhy/map.h"
#include "rules/objects.h"

enum {
	ELEMENTS_MIN = 10,
	OPERANDS_MAX = 4096, // of one function
};

struct backlog {
	object_id channel;
	uint64_t elements, room, bytes;
};

struct search {
	struct rule_run *run;
	HW_VECTOR(struct backlog) backlogs;
	struct graph_walk *stacks;       // what goroutines' stacks lead to
	HW_VECTOR(remote_addr) operands; // what functions that goroutines are in refer to
};

static void search_deinit(struct search *search)
{
	hw_vector_deinit(&search->backlogs);
	hw_vector_deinit(&search->operands);
	graph_walk_destroy(search->stacks);
}

// typing's name for a runtime.hchan.
static bool is_channel(const char *label)
{
	return !strncmp(label, "chan ", strlen("chan "));
}

// A channel with elements, which nobody waits to receive.
static bool backlog_read(const struct analysis *analysis, object_id channel, struct backlog *out)
{
	const struct layout_offsets *at = &analysis->runtime->layout.at;
	struct memory *memory = &analysis->runtime->memory;
	remote_addr address = heap_address(analysis->heap, channel);
	uint64_t faults = memory->faults;

	*out = (struct backlog){
		.channel = channel,
		.elements = memory_u64(memory, address + (uint32_t)at->hchan_qcount),
		.room = memory_u64(memory, address + (uint32_t)at->hchan_dataqsiz),
	};
	return memory->faults == faults && out->elements >= ELEMENTS_MIN &&
	       out->elements <= out->room &&
	       !memory_u64(memory, address + (uint32_t)at->hchan_recvq);
}

// What receiving the elements gives back: the channel stays, and so does its buffer.
static uint64_t elements_bytes(const struct analysis *analysis, object_id channel)
{
	remote_addr field = heap_address(analysis->heap, channel) +
			    (uint32_t)analysis->runtime->layout.at.hchan_buf;
	object_id buffer = heap_find(analysis->heap, memory_u64(&analysis->runtime->memory, field));
	uint64_t all = graph_retained(analysis->graph, channel),
		 stays = heap_size(analysis->heap, channel);

	if (buffer != OBJECT_NONE && buffer != channel)
		stays += heap_size(analysis->heap, buffer);
	return all > stays ? all - stays : 0;
}

static struct error *backlogs_find(struct search *search)
{
	struct rule_run *run = search->run;
	_cleanup_(typed_objects_deinit) struct typed_objects channels = {0};
	struct error *err = labelled_objects_find(run, is_channel, &channels);

	for (size_t i = 0; i < channels.list.count && !err; i++) {
		struct backlog backlog;
		if (!backlog_read(run->analysis, channels.list.items[i], &backlog))
			continue;
		backlog.bytes = elements_bytes(run->analysis, backlog.channel);
		if (backlog.bytes >= run->rule->least &&
			!hw_vector_push(&search->backlogs, backlog))
			err = error_no_memory();
	}
	return err;
}

static struct error *stacks_walk(struct search *search)
{
	const struct analysis *analysis = search->run->analysis;
	struct error *err = graph_walk_create(analysis->graph, &search->stacks);

	for (uint32_t i = 0; i < analysis->root_holder_count && !err; i++)
		if (analysis->root_holders[i].goroutine != UINT32_MAX)
			err = graph_walk_from(
				search->stacks, graph_holder_node(analysis->graph, i));
	return err;
}

static int address_compare(const void *a, const void *b)
{
	remote_addr one = *(const remote_addr *)a, other = *(const remote_addr *)b;

	return one < other ? -1 : one > other;
}

// Adds what the function of a frame refers to, once a function.
static struct error *frame_operands(struct search *search, const struct frame *frame,
	struct hw_map *seen, struct operand *operands)
{
	const struct go_runtime *runtime = search->run->analysis->runtime;
	struct pcln_function function;

	if (frame->module || hw_map_get(seen, frame->function, NULL))
		return NULL;
	if (!hw_map_put(seen, frame->function, 0))
		return error_no_memory();
	if (!pclntab_function(runtime->modules[0].pclntab, frame->function, &function))
		return NULL;
	size_t count = function_operands(runtime, function.name, operands, OPERANDS_MAX);
	for (size_t i = 0; i < count; i++)
		if (!hw_vector_push(&search->operands, operands[i].address))
			return error_no_memory();
	return NULL;
}

static struct error *operands_find(struct search *search)
{
	const struct goroutine_list *list = search->run->analysis->goroutines;
	_cleanup_free_ struct operand *operands = calloc(OPERANDS_MAX, sizeof(*operands));
	struct error *err = operands ? NULL : error_no_memory();
	struct hw_map seen;

	hw_map_init(&seen);
	for (uint32_t i = 0; i < list->frame_count && !err; i++)
		err = frame_operands(search, &list->frames[i], &seen, operands);
	hw_map_deinit(&seen);
	if (!err && search->operands.count)
		qsort(search->operands.items, search->operands.count, sizeof(remote_addr),
			address_compare);
	return err;
}

// Whether a function that some goroutine is in refers to the global that the channel hangs on; also when it hangs on
// something that is no global.
static bool is_looked_at(const struct search *search, object_id channel)
{
	struct analysis *analysis = search->run->analysis;
	size_t skipped;
	node_id ends[2]; // of the path: where it begins, and the channel

	if (!graph_path(analysis->graph, channel, ends, ARRAY_COUNT(ends), &skipped))
		return true;
	const struct root_holder *fine =
		&analysis->root_holders[ends[0] - graph_holder_node(analysis->graph, 0)];
	const struct holder *holder = &analysis->holders[fine->holder];
	if (holder->kind != HOLDER_GLOBAL)
		return true;
	remote_addr start = holder->global.start,
		    end = start + (holder->global.size ? holder->global.size : 8);
	for (size_t i = 0; i < search->operands.count; i++)
		if (search->operands.items[i] >= start && search->operands.items[i] < end)
			return true;
	return false;
}

static struct error *backlog_report(struct rule_run *run, const struct backlog *backlog)
{
	const char *label = object_type_name(run, backlog->channel);
	char elements[24], room[24];
	struct finding finding = {
		.bytes = backlog->bytes,
		.objects = backlog->elements,
		.type = label,
		.proven = false,
		.what = finding_text(run,
			"%s elements lie in a %s with room for %s, and no goroutine is to be seen "
			"that could "
			"receive them",
			format_count(elements, sizeof(elements), backlog->elements), label,
			format_count(room, sizeof(room), backlog->room)),
		.remedy = "start the receiver, or do not send what nobody wants: a select with a "
			  "default drops it",
		.remedy_bytes = backlog->bytes,
		.condition = "",
		.subject = backlog->channel,
		.goroutine = UINT32_MAX,
	};

	return finding_add(run, &finding);
}

struct error *rule_channel_backlog(struct rule_run *run)
{
	_cleanup_(search_deinit) struct search search = {.run = run};
	struct error *err = backlogs_find(&search);

	if (err || !search.backlogs.count)
		return err;
	err = stacks_walk(&search);
	if (!err)
		err = operands_find(&search);
	if (!err)
		err = graph_prepare_paths(run->analysis->graph);
	for (size_t i = 0; i < search.backlogs.count && !err; i++) {
		const struct backlog *backlog = &search.backlogs.items[i];
		if (!graph_walk_met(search.stacks, backlog->channel) &&
			!is_looked_at(&search, backlog->channel))
			err = backlog_report(run, backlog);
	}
	return err;
}
