// Stack variables without debug information: during a call, what a function's code keeps in its frame is known as far as
// typing_flow.c can follow it. Only words that the stack maps call live are believed.
//
// Many goroutines stand at the same call, so what a call site tells is kept.
#include <stdlib.h>

#include "debuginfo/pclntab.h"
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
	struct flow_findings findings; // not wanted
	struct hw_map sites;           // pc -> struct call_site
	struct hw_map live;            // live stack word -> its value
};

static const struct call_site *frames_site(struct frames *frames, const struct frame *frame)
{
	struct typing *typing = frames->typing;
	struct flow_slot slots[FLOW_SLOTS_MAX];
	struct pcln_function function;
	uint64_t found;
	unsigned count = 0;

	if (hw_map_get(&frames->sites, frame->pc, &found))
		return (const struct call_site *)(uintptr_t)found;
	if (pclntab_function(typing->code->program->pclntab, frame->function, &function))
		count = flow_frame(
			frames->flow, function.entry, function.end, frame->pc + 1, slots);
	struct call_site *site = typing_alloc(typing, sizeof(*site) + count * sizeof(slots[0]));
	if (!site || !hw_map_put(&frames->sites, frame->pc, (uintptr_t)site)) {
		typing->no_memory = true;
		return NULL;
	}
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
	hw_map_deinit(&frames.sites);
	hw_map_deinit(&frames.live);
}
