// Stack variables without debug information: during a call, what a function's code keeps in its frame is known as far as
// typing_flow.c can follow it. Only words that the stack maps call live are believed.
//
// Many goroutines stand at the same call, so what a call site tells is kept.
#include <stdlib.h>

#include "debuginfo/pclntab.h"
#include "goruntime/stack_map.h"
#include "goruntime/typing_code.h"
#include "goruntime/typing_private.h"

// What the frame holds at one call site.
struct call_site {
	unsigned count;
	struct flow_slot slots[];
};

struct frames {
	struct typing *typing;
	struct flow *flow;
	struct flow_findings findings;         // all but the maps are not wanted
	struct hw_map sites;                   // pc -> struct call_site
	struct hw_map live;                    // live stack word -> its value
	HW_VECTOR(struct flow_object) objects; // of the frame being looked at
};

// Keeps the types of the maps that the function works with.
static void frames_note_maps(struct frames *frames, remote_addr pc)
{
	struct typing *typing = frames->typing;
	size_t count = frames->findings.maps.count;
	struct map_candidates *maps =
		count ? typing_alloc(typing, sizeof(*maps) + count * sizeof(maps->types[0])) : NULL;

	if (!maps)
		return;
	for (size_t i = 0; i < count; i++)
		if (!map_candidates_have(maps, frames->findings.maps.items[i]))
			maps->types[maps->count++] = frames->findings.maps.items[i];
	if (!hw_map_put(&typing->frame_maps, pc, (uintptr_t)maps))
		typing->no_memory = true;
}

// What the compiler tells of the frame.
static struct flow_frame frames_describe(
	struct frames *frames, const struct frame *frame, const struct pcln_function *function)
{
	struct typing *typing = frames->typing;
	int64_t locals_end = (int64_t)(frame_locals_end(frame) - frame->sp);
	int64_t args = (int64_t)(frame->fp - frame->sp);
	uint32_t count;
	const uint8_t *objects =
		function_stack_objects(typing->code->program->pclntab, function, &count);

	frames->objects.count = 0;
	for (uint32_t i = 0; objects && i < count; i++) {
		struct stack_object_record record;
		stack_object_record(objects, i, &record);
		int64_t offset = (record.offset < 0 ? locals_end : args) + record.offset;
		if (!hw_vector_push(&frames->objects, ((struct flow_object){offset, record.size})))
			typing->no_memory = true;
	}
	return (struct flow_frame){
		.entry = function->entry,
		.end = function->end,
		.pc = frame->pc + 1,
		.locals_end = locals_end,
		.objects = frames->objects.items,
		.object_count = frames->objects.count,
	};
}

static const struct call_site *frames_site(struct frames *frames, const struct frame *frame)
{
	struct typing *typing = frames->typing;
	struct flow_slot slots[FLOW_SLOTS_MAX];
	struct pcln_function function;
	uint64_t found;
	unsigned count = 0;

	if (hw_map_get(&frames->sites, frame->pc, &found))
		return (const struct call_site *)(uintptr_t)found;
	frames->findings.maps.count = 0;
	if (pclntab_function(typing->code->program->pclntab, frame->function, &function)) {
		struct flow_frame described = frames_describe(frames, frame, &function);
		count = flow_frame(frames->flow, &described, slots);
	}
	struct call_site *site = typing_alloc(typing, sizeof(*site) + count * sizeof(slots[0]));
	if (!site || !hw_map_put(&frames->sites, frame->pc, (uintptr_t)site)) {
		typing->no_memory = true;
		return NULL;
	}
	frames_note_maps(frames, frame->pc);
	for (unsigned i = 0; i < count; i++) {
		slots[i].value = code_result(typing->code, slots[i].value);
		if (slots[i].value.kind >= VALUE_POINTER)
			site->slots[site->count++] = slots[i];
	}
	return site;
}

static void frames_claim(struct frames *frames, const struct frame *frame)
{
	const struct call_site *site = frames_site(frames, frame);
	uint64_t word;

	for (unsigned i = 0; site && i < site->count; i++)
		if (hw_map_get(&frames->live, frame->sp + site->slots[i].offset, &word))
			typing_claim_flow(frames->typing, word, &site->slots[i].value);
}

static bool frames_collect_live(struct frames *frames)
{
	const struct roots *roots = frames->typing->roots;

	for (size_t i = 0; i < roots->list.count; i++) {
		const struct root *root = &roots->list.items[i];
		if (root->kind == ROOT_STACK && root->slot && root->precise &&
			!hw_map_put(&frames->live, root->slot, root->value))
			return false;
	}
	return true;
}

void typing_claim_frames(struct typing *typing)
{
	const struct goroutine_list *goroutines = typing->goroutines;
	struct frames frames = {.typing = typing};

	if (!typing->code->program || !goroutines || !typing->roots)
		return;
	hw_map_init(&frames.sites);
	hw_map_init(&frames.live);
	flow_findings_init(&frames.findings);
	frames.flow = flow_create(typing->code->program, &frames.findings);
	if (!frames.flow || !frames_collect_live(&frames))
		typing->no_memory = true;
	for (uint32_t i = 0; !typing->no_memory && i < goroutines->frame_count; i++) {
		const struct frame *frame = &goroutines->frames[i];
		if (!frame->module && !(frame->flags & FRAME_CONSERVATIVE))
			frames_claim(&frames, frame);
	}
	flow_destroy(frames.flow);
	flow_findings_deinit(&frames.findings);
	hw_vector_deinit(&frames.objects);
	hw_map_deinit(&frames.sites);
	hw_map_deinit(&frames.live);
}
