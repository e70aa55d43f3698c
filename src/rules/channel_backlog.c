// channel-backlog: elements in a channel's buffer that nobody is there to receive.
//
// A channel that is only a buffer between a sender and a slow receiver is healthy, so it has to be shown that there is
// no receiver. Where only goroutines that sleep for ever can reach the channel, that is proved. Otherwise it is
// suspected when nobody but senders is to be seen at it (sight.h), and no function takes elements out whenever it is
// called (channel_visitors.h).
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "goruntime/channel_visitors.h"
#include "graph/walk.h"
#include "heapwhy/map.h"
#include "rules/goroutines.h"
#include "rules/objects.h"
#include "rules/sight.h"
#include "rules/suspects.h"

enum {
	ELEMENTS_MIN = 4, // in one, or in all that one holder keeps: these are told together
	CHANNEL_BYTES_MIN = 4 << 10, // of one
	BUFFER_LEVELS = 3, // from an array up to what points to it, the buffer, the channel
};

struct backlog {
	object_id channel;
	uint64_t elements, room, bytes;
};

struct search {
	struct rule_run *run;
	HW_VECTOR(struct backlog) backlogs;
	struct sight *sight; // of all but senders
	struct hw_map
		taken; // place in the program's variables -> whether visitors take from channels there
	uint64_t bytes; // of all backlogs
	struct suspects suspects;
	struct hw_map unseen; // suspects -> bytes of their elements' arrays that nobody sees
};

static void search_deinit(struct search *search)
{
	hw_vector_deinit(&search->backlogs);
	sight_destroy(search->sight);
	hw_map_deinit(&search->taken);
	hw_map_deinit(&search->unseen);
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
	return memory->faults == faults && out->elements && out->elements <= out->room &&
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
		if (backlog.bytes >= CHANNEL_BYTES_MIN)
			search->bytes += backlog.bytes;
	}
	return err;
}

static const char sending[] = "chan send";

static bool is_sender(const struct goroutine *goroutine)
{
	return goroutine->status == GOROUTINE_WAITING && !strcmp(goroutine->wait_reason, sending);
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

// The channel that keeps the object as a part of an element, or OBJECT_NONE.
static object_id channel_above(const struct search *search, object_id object)
{
	node_id keeper = object;

	for (unsigned level = 0; level < BUFFER_LEVELS && keeper != NODE_NONE; level++) {
		keeper = graph_dominator(search->run->analysis->graph, keeper);
		if (hw_map_get(&search->unseen, keeper, NULL))
			return keeper;
	}
	return OBJECT_NONE;
}

// A channel of empty buffers is a pool of them, and holds nothing that waits to be received: those go whose elements' arrays
// are mostly not seen by anybody.
static struct error *pools_drop(struct search *search)
{
	const struct windows *windows = search->run->windows;
	struct suspects *suspects = &search->suspects;
	size_t kept = 0;

	for (size_t i = 0; i < suspects->list.count; i++)
		if (!hw_map_put(&search->unseen, suspects->list.items[i].object, 0))
			return error_no_memory();
	for (size_t i = 0; i < windows->objects.count && suspects->list.count; i++) {
		const struct windowed_object *object = &windows->objects.items[i];
		object_id channel = channel_above(search, object->id);
		if (channel != OBJECT_NONE)
			*hw_map_at(&search->unseen, channel, 0) +=
				(uint64_t)object->pinned + object->spare;
	}
	for (size_t i = 0; i < suspects->list.count; i++) {
		uint64_t unseen = 0;
		hw_map_get(&search->unseen, suspects->list.items[i].object, &unseen);
		if (unseen < suspects->list.items[i].bytes / 2)
			suspects->list.items[kept++] = suspects->list.items[i];
	}
	suspects->list.count = kept;
	return NULL;
}

// Subscribers that went away leave a channel each: those are one cause.
static struct error *suspects_report(struct search *search)
{
	struct suspects *suspects = &search->suspects;
	struct error *err = pools_drop(search);

	if (!err)
		err = suspects_group(suspects, search->run);
	for (size_t i = 0; i < suspects->groups.count && !err; i++) {
		const struct suspect_group *group = &suspects->groups.items[i];
		struct backlog all = {.channel = group->example->object, .bytes = group->bytes};
		for (size_t k = group->first; k < group->first + group->count; k++) {
			struct backlog one;
			backlog_read(search->run->analysis, suspects->list.items[k].object, &one);
			all.elements += one.elements;
			all.room += one.room;
		}
		if (all.elements >= ELEMENTS_MIN)
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

static struct error *visitors_look(struct search *search, object_id channel, bool *take)
{
	remote_addr slot = sight_variable(search->sight, channel);
	_cleanup_(channel_visitors_deinit) struct channel_visitors visitors = {0};
	uint64_t known;

	if (hw_map_get(&search->taken, slot, &known)) {
		*take = known;
		return NULL;
	}
	struct error *err = channel_visitors_find(search->run->analysis->typing, slot, &visitors);
	if (!err && !hw_map_put(&search->taken, slot, visitors.take))
		err = error_no_memory();
	*take = visitors.take;
	return err;
}

static struct error *backlog_suspect(struct search *search, const struct backlog *backlog)
{
	bool take;

	if (sight_of_object_ahead(search->sight, backlog->channel))
		return NULL;
	struct error *err = visitors_look(search, backlog->channel, &take);
	if (!err && !take)
		suspects_add(&search->suspects,
			(struct suspect){
				.object = backlog->channel,
				.kind = typing_label_of(
					search->run->analysis->typing, backlog->channel),
				.bytes = backlog->bytes,
			});
	return err;
}

static struct error *backlog_judge(
	struct search *search, struct goroutine_evidence *evidence, struct backlog *backlog)
{
	struct rule_run *run = search->run;

	// What is too small to be told here is told with its lost senders.
	if (evidence->others && !graph_walk_met(evidence->others, backlog->channel))
		return backlog->bytes < run->rule->least || backlog->elements < ELEMENTS_MIN
			       ? NULL
			       : backlog_prove(run, evidence, backlog);
	return backlog_suspect(search, backlog);
}

struct error *rule_channel_backlog(struct rule_run *run)
{
	_cleanup_(search_deinit) struct search search = {.run = run};
	struct goroutine_evidence *evidence;
	struct error *err = backlogs_find(&search);

	hw_map_init(&search.taken);
	hw_map_init(&search.unseen);
	if (err || search.bytes < run->rule->least)
		return err;
	err = goroutine_evidence(run, &evidence);
	if (!err)
		err = sight_create(run, sending, &search.sight);
	for (size_t i = 0; i < search.backlogs.count && !err; i++)
		err = backlog_judge(&search, evidence, &search.backlogs.items[i]);
	return err ? err : suspects_report(&search);
}
