// channel-backlog: elements in a channel's buffer that nobody is there to receive.
//
// A channel that is only a buffer between a sender and a slow receiver is healthy, so it has to be shown that there is
// no receiver. Where only goroutines that sleep for ever can reach the channel, that is proved. Otherwise it is
// suspected when no goroutine's stack leads to the channel (one that receives from it or works on what it received has
// it there), and no function that some goroutine is in refers to the global variable that the channel hangs on (one
// that looks in now and then reads it there). Who is blocked sending is no receiver.
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
#include "rules/goroutines.h"
#include "rules/objects.h"
#include "rules/suspects.h"

enum {
	ELEMENTS_MIN = 10,
	CHANNEL_BYTES_MIN = 64 << 10, // of one; several that one holder keeps are told together
	OPERANDS_MAX = 4096,          // of one function
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
	struct suspects suspects;
};

static void search_deinit(struct search *search)
{
	hw_vector_deinit(&search->backlogs);
	hw_vector_deinit(&search->operands);
	graph_walk_destroy(search->stacks);
	suspects_deinit(&search->suspects);
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
	// A variable that holds a channel is called the same, and is smaller.
	if (heap_size(analysis->heap, channel) < (uint64_t)at->hchan_size)
		return false;
	return memory->faults == faults && out->elements >= ELEMENTS_MIN &&
	       out->elements <= out->room &&
	       !memory_u64(memory, address + (uint32_t)at->hchan_recvq);
}

static object_id channel_buffer(const struct analysis *analysis, object_id channel)
{
	remote_addr field = heap_address(analysis->heap, channel) +
			    (uint32_t)analysis->runtime->layout.at.hchan_buf;

	return heap_find(analysis->heap, memory_u64(&analysis->runtime->memory, field));
}

// What receiving the elements gives back: the channel stays, and so does its buffer.
static uint64_t elements_bytes(const struct analysis *analysis, object_id channel)
{
	object_id buffer = channel_buffer(analysis, channel);
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
		if (backlog.bytes >= CHANNEL_BYTES_MIN &&
			!hw_vector_push(&search->backlogs, backlog))
			err = error_no_memory();
	}
	return err;
}

static bool is_sender(const struct goroutine *goroutine)
{
	return goroutine->status == GOROUTINE_WAITING &&
	       !strcmp(goroutine->wait_reason, "chan send");
}

static struct error *stacks_walk(struct search *search)
{
	const struct analysis *analysis = search->run->analysis;
	struct error *err = graph_walk_create(analysis->graph, &search->stacks);

	for (uint32_t i = 0; i < analysis->root_holder_count && !err; i++) {
		uint32_t goroutine = analysis->root_holders[i].goroutine;
		if (goroutine != UINT32_MAX &&
			!is_sender(&analysis->goroutines->goroutines[goroutine]))
			err = graph_walk_from(
				search->stacks, graph_holder_node(analysis->graph, i));
	}
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
	for (uint32_t i = 0; i < list->count && !err; i++) {
		const struct goroutine *goroutine = &list->goroutines[i];
		for (uint32_t f = 0; f < goroutine->frame_count && !is_sender(goroutine) && !err;
			f++)
			err = frame_operands(
				search, &list->frames[goroutine->first_frame + f], &seen, operands);
	}
	hw_map_deinit(&seen);
	if (!err && search->operands.count)
		qsort(search->operands.items, search->operands.count, sizeof(remote_addr),
			address_compare);
	return err;
}

// The global variable that the channel hangs on, or NULL.
static const struct holder *channel_global(struct analysis *analysis, object_id channel)
{
	node_id ends[2]; // of the path: where it begins, and the channel
	size_t skipped;

	for (uint32_t i = 0; i < analysis->root_holder_count; i++) {
		const struct root_holder *fine = &analysis->root_holders[i];
		const struct holder *holder = &analysis->holders[fine->holder];
		if (holder->kind == HOLDER_GLOBAL &&
			heap_find(analysis->heap,
				analysis->roots.list.items[fine->first_root].value) == channel)
			return holder;
	}
	if (!graph_path(analysis->graph, channel, ends, ARRAY_COUNT(ends), &skipped))
		return NULL;
	uint32_t fine = ends[0] - graph_holder_node(analysis->graph, 0);
	const struct holder *holder = &analysis->holders[analysis->root_holders[fine].holder];
	return holder->kind == HOLDER_GLOBAL ? holder : NULL;
}

// Whether a function that some goroutine is in refers to that global; in doubt it does.
static bool is_looked_at(const struct search *search, object_id channel)
{
	const struct holder *holder = channel_global(search->run->analysis, channel);

	if (!holder)
		return true;
	remote_addr start = holder->global.start,
		    end = start + (holder->global.size ? holder->global.size : 8);
	for (size_t i = 0; i < search->operands.count; i++)
		if (search->operands.items[i] >= start && search->operands.items[i] < end)
			return true;
	return false;
}

// `example` stands for `channels` of them.
static struct error *backlog_report(
	struct rule_run *run, const struct backlog *example, uint64_t channels, bool proven)
{
	const char *label = object_type_name(run, example->channel);
	char elements[24], room[24], count[24];
	const char *where = channels > 1
				    ? finding_text(run, "%s × %s",
					      format_count(count, sizeof(count), channels), label)
				    : finding_text(run, "a %s", label);
	struct finding finding = {
		.bytes = example->bytes,
		.objects = example->elements,
		.type = label,
		.proven = proven,
		.what = where ? finding_text(run, "%s elements lie in %s with room for %s, and %s",
					format_count(elements, sizeof(elements), example->elements),
					where, format_count(room, sizeof(room), example->room),
					proven ? "nobody who could receive them can reach it"
					       : "no goroutine is to be seen that could receive "
						 "them")
			      : NULL,
		.remedy = "start the receiver, or do not send what nobody wants: a select with a "
			  "default drops it",
		.remedy_bytes = example->bytes,
		.condition = "",
		.subject = example->channel,
		.goroutine = UINT32_MAX,
	};

	return finding_add(run, &finding);
}

// Subscribers that went away leave a channel each: those are one cause.
static struct error *suspects_report(struct search *search)
{
	struct suspects *suspects = &search->suspects;
	struct error *err = suspects_group(suspects, search->run);

	for (size_t i = 0; i < suspects->groups.count && !err; i++) {
		const struct suspect_group *group = &suspects->groups.items[i];
		struct backlog all = {.channel = group->example->object, .bytes = group->bytes};
		for (size_t k = group->first; k < group->first + group->count; k++) {
			struct backlog one;
			backlog_read(search->run->analysis, suspects->list.items[k].object, &one);
			all.elements += one.elements;
			all.room += one.room;
		}
		err = backlog_report(search->run, &all, group->count, false);
	}
	return err;
}

// Whether the goroutine sleeps for ever because it wants to send to the channel.
static bool is_lost_sender(const struct goroutine_evidence *evidence, uint32_t goroutine,
	const struct analysis *analysis, object_id channel)
{
	const struct wait *wait = &evidence->waits.of[goroutine];

	return evidence->states[goroutine].sleep == SLEEP_FOREVER &&
	       is_sender(&analysis->goroutines->goroutines[goroutine]) && wait->count == 1 &&
	       evidence->waits.on.items[wait->first].object == channel;
}

// Only those who sleep for ever can reach it. They are told here, with the elements, unless they are more: then the
// elements are told with them, by goroutine-leak.
static struct error *backlog_prove(
	struct rule_run *run, struct goroutine_evidence *evidence, struct backlog *backlog)
{
	const struct analysis *analysis = run->analysis;
	object_id buffer = channel_buffer(analysis, backlog->channel);
	uint64_t before = graph_walk_bytes(evidence->others), stacks = 0, senders = 0;

	for (uint32_t i = 0; i < analysis->goroutines->count; i++)
		senders += is_lost_sender(evidence, i, analysis, backlog->channel);
	if (buffer == OBJECT_NONE || senders > backlog->elements)
		return NULL;
	struct error *err = graph_walk_from(evidence->others, buffer);
	for (uint32_t i = 0; senders && i < analysis->goroutines->count && !err; i++) {
		const struct goroutine *goroutine = &analysis->goroutines->goroutines[i];
		if (!is_lost_sender(evidence, i, analysis, backlog->channel))
			continue;
		evidence->states[i].sleep = SLEEP_TOLD;
		evidence->forever--;
		stacks += goroutine->stack_high - goroutine->stack_low;
		err = goroutine_walk(evidence, i);
	}
	backlog->bytes = graph_walk_bytes(evidence->others) - before + stacks;
	return err ? err : backlog_report(run, backlog, 1, true);
}

static struct error *backlog_judge(
	struct search *search, struct goroutine_evidence *evidence, struct backlog *backlog)
{
	struct rule_run *run = search->run;

	// What is too small to be told here is told with its lost senders.
	if (evidence->others && !graph_walk_met(evidence->others, backlog->channel))
		return backlog->bytes < run->rule->least ? NULL
							 : backlog_prove(run, evidence, backlog);
	if (!graph_walk_met(search->stacks, backlog->channel) &&
		!is_looked_at(search, backlog->channel))
		suspects_add(&search->suspects,
			(struct suspect){
				.object = backlog->channel,
				.kind = typing_label_of(run->analysis->typing, backlog->channel),
				.bytes = backlog->bytes,
			});
	return NULL;
}

struct error *rule_channel_backlog(struct rule_run *run)
{
	_cleanup_(search_deinit) struct search search = {.run = run};
	struct goroutine_evidence *evidence;
	struct error *err = backlogs_find(&search);

	if (err || !search.backlogs.count)
		return err;
	err = goroutine_evidence(run, &evidence);
	if (!err)
		err = stacks_walk(&search);
	if (!err)
		err = operands_find(&search);
	for (size_t i = 0; i < search.backlogs.count && !err; i++)
		err = backlog_judge(&search, evidence, &search.backlogs.items[i]);
	return err ? err : suspects_report(&search);
}
