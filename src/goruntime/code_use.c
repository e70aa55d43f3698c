// An abstract run over a function's steps, as often as anything changes: for each register and stack slot, into which
// nodes it may point, or which constant it is. Where ways meet, it may be what it was on either. A call is followed with
// the registers as they are, down to a few levels; what goes to other functions is taken for looked at, whole, unless
// it is a slice or string of constant length. For a frame the run begins behind the call that it waits for, with nothing
// in the registers: what the call returns is accounted for where it comes from.
//
// Go's calling convention since 1.17: cmd/compile/abi-internal.md. Arguments and results are in RAX, RBX, RCX, RDI, RSI, R8
// to R11, the closure's object in RDX; RSP moves in prologue and epilogue only.
#include "goruntime/code_use.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "debuginfo/pclntab.h"
#include "goruntime/code_ahead.h"
#include "goruntime/stack_map.h"
#include "goruntime/use_decode.h"
#include "goruntime/use_state.h"
#include "heapwhy/arena.h"
#include "heapwhy/map.h"

enum {
	FUNCTION_BYTES_MAX = 1 << 14,
	CALLS_DEEP_MAX = 4,
	RUNS_MAX = 24,
	STEPS_MAX = 1 << 18, // for one use
	STEPS_ALL = 1 << 25, // for all
	STACK_MAX = 1 << 30, // bytes of a frame
	OBJECTS_MAX = 1024,
	FRAMES_MAX = 2048,
	OUTGOING_BYTES = 128, // of the frame's low end, that may be a call's arguments
	DEFERRED_MAX = 8,
	DEFERRED_NEAR = 4, // steps from a code's address to its being stored
	CAPTURED = 8,      // bytes into a closure's object
};

// What RDX is while a closure that lies on a stack is followed; nothing has this address.
#define CLOSURE_OBJECT (INT64_C(0x5ac) << 48)

// What `defer x.f()` puts on the stack: the code of a function that calls x.f, and x behind it.
struct deferred {
	int64_t offset; // from RSP
	remote_addr code;
};

// Code that was decoded.
struct use_function {
	remote_addr entry, end;
	const struct use_step *steps;
	size_t count;
	const uint8_t *objects; // variables in its frame whose address is taken
	uint32_t object_count;
	struct deferred deferred[DEFERRED_MAX];
	unsigned deferred_count;
	uint16_t loaded_words; // a bit for each of the lowest words of its frame that it loads
	bool running;          // further up in the calls
};

struct code_uses {
	struct go_runtime *runtime;
	struct hw_arena arena;   // what stays
	struct hw_arena states;  // of the functions that are being run
	struct hw_map functions; // entry -> struct use_function, NULL for what cannot be followed
	struct hw_map found;     // code and results -> struct code_use, NULL
	struct hw_map frames;    // place and slots, mixed -> struct frame_use
	struct use_steps steps;
	struct code_use *use; // the one that is being made
	const struct use_value
		*captured; // by the closure on the stack that is being followed, or NULL
	bool sending_counts, unlocking_counts;
	uint64_t steps_left, steps_all; // for this use, for all
	bool no_memory;
};

// One function being run.
struct use_frame {
	struct code_uses *uses;
	struct use_function *function;
	struct use_state **ahead; // by step: what jumps there bring, NULL: no jump yet
	struct use_state state;
	struct use_state *returned;
	unsigned depth;
	bool changed, lost;
};

// ---- the stack

// Is the place a part of a variable that somebody may have the address of?
static bool place_is_shared(const struct use_function *function, int64_t place)
{
	enum { LOCALS_END = -8, ARGUMENTS = 8 }; // around saved frame pointer and return address

	for (uint32_t i = 0; i < function->object_count; i++) {
		struct stack_object_record record;
		stack_object_record(function->objects, i, &record);
		int64_t start = record.offset + (record.offset < 0 ? LOCALS_END : ARGUMENTS);
		if (place + 8 > start && place < start + record.size)
			return true;
	}
	return false;
}

// Is what is stored there an argument of a call? Those lie at the frame's low end, and nobody here loads them again.
static bool is_outgoing(const struct use_function *function, int64_t offset)
{
	return offset < OUTGOING_BYTES &&
	       !(offset >= 0 && function->loaded_words >> offset / 8 & 1);
}

static void stack_forget(struct use_frame *frame, int64_t place, uint32_t size, bool escape)
{
	struct use_state *state = &frame->state;
	unsigned kept = 0;

	for (unsigned i = 0; i < state->slot_count; i++) {
		bool hit = !size || (state->slots[i].place + 8 > place &&
					    state->slots[i].place < place + size);
		if (hit && escape)
			use_value_escape(frame->uses->use, &state->slots[i].value);
		if (!hit)
			state->slots[kept++] = state->slots[i];
	}
	state->slot_count = kept;
}

static bool function_run(struct code_uses *uses, struct use_function *function, size_t start,
	const struct use_state *in, unsigned depth, struct use_state *out);

static struct use_function *function_get(struct code_uses *uses, remote_addr entry);

// The code of the closure that the function has `offset` from RSP, or 0.
static remote_addr deferred_code(const struct use_function *function, int64_t offset)
{
	remote_addr code = 0;

	for (unsigned i = 0; i < function->deferred_count; i++) {
		if (function->deferred[i].offset != offset)
			continue;
		if (code && code != function->deferred[i].code)
			return 0; // several have the place in turn
		code = function->deferred[i].code;
	}
	return code;
}

// What the closure does with the first word that it captured; it returns nothing. False: it cannot be followed.
static bool deferred_follow(
	struct code_uses *uses, remote_addr code, const struct use_value *value, unsigned depth)
{
	struct use_function *function =
		code && depth < CALLS_DEEP_MAX ? function_get(uses, code) : NULL;
	struct use_state in = {.live = true}, out = {0};
	const struct use_value *outer = uses->captured;

	if (!function || function->running)
		return false;
	in.registers[RDX] = (struct use_value){.number = CLOSURE_OBJECT, .exact = true};
	uses->captured = value;
	bool followed = function_run(uses, function, 0, &in, depth + 1, &out);
	uses->captured = outer;
	return followed;
}

static void stack_store(
	struct use_frame *frame, const struct use_step *step, const struct use_value *value)
{
	struct use_state *state = &frame->state;
	int64_t place = state->stack + step->number;

	stack_forget(frame, place, step->size, false);
	if (value->nodes && step->index == REGISTER_NONE &&
		deferred_follow(frame->uses,
			deferred_code(frame->function, step->number - CAPTURED), value,
			frame->depth))
		return;
	if (step->index != REGISTER_NONE || state->slot_count == USE_SLOTS_MAX ||
		is_outgoing(frame->function, step->number) ||
		place_is_shared(frame->function, place))
		use_value_escape(frame->uses->use, value);
	else if (value->nodes || value->exact)
		state->slots[state->slot_count++] = (struct use_slot){place, *value};
}

static struct use_value stack_load(struct use_frame *frame, const struct use_step *step)
{
	const struct use_slot *slot =
		use_state_slot(&frame->state, frame->state.stack + step->number);

	frame->lost |= step->index != REGISTER_NONE;
	return slot ? slot->value : use_nothing;
}

// ---- memory

static void step_touch(struct use_frame *frame, const struct use_step *step)
{
	struct use_state *state = &frame->state;

	if (step->base == RSP) {
		stack_forget(frame, state->stack + step->number,
			step->index == REGISTER_NONE ? step->size : 0, true);
		return;
	}
	if (step->index < REGISTERS) {
		use_value_escape(frame->uses->use, &state->registers[step->index]);
		if (step->base < REGISTERS)
			use_value_escape(frame->uses->use, &state->registers[step->base]);
	} else if (step->base < REGISTERS) {
		use_value_see(frame->uses->use, &state->registers[step->base], step->number,
			(struct use_window){.count = step->size, .opaque = step->opaque});
	}
}

static void step_store(struct use_frame *frame, const struct use_step *step)
{
	const struct use_value *value =
		step->from < REGISTERS ? &frame->state.registers[step->from] : &use_nothing;

	if (step->base == RSP) {
		stack_store(frame, step, value);
		return;
	}
	use_value_escape(frame->uses->use, value);
	step_touch(frame, step);
}

static struct use_value step_load(struct use_frame *frame, const struct use_step *step)
{
	const struct use_value *captured = frame->uses->captured;

	if (step->base == RSP)
		return stack_load(frame, step);
	if (step->index == REGISTER_NONE) {
		const struct use_value *base = &frame->state.registers[step->base];
		if (captured && use_value_is_constant(base) &&
			use_sum(base->number, step->number) == CLOSURE_OBJECT + CAPTURED)
			return *captured;
		return use_value_load(frame->uses->use, base, step->number);
	}
	step_touch(frame, step);
	return use_nothing;
}

static struct use_value step_address(struct use_frame *frame, const struct use_step *step)
{
	const struct use_state *state = &frame->state;
	struct use_value value = step->base < REGISTERS && step->base != RSP
					 ? state->registers[step->base]
					 : use_nothing;
	value.number = use_sum(value.number, step->number);
	if (step->index < REGISTERS) {
		value.nodes |= state->registers[step->index].nodes;
		value.exact = false;
	}
	return value;
}

static void step_mix(struct use_frame *frame, const struct use_step *step)
{
	struct use_state *state = &frame->state;
	struct use_value value = use_nothing;

	for (unsigned i = 0; i < REGISTERS; i++)
		if (step->sources >> i & 1)
			value.nodes |= state->registers[i].nodes;
	for (unsigned i = 0; i < REGISTERS; i++)
		if (step->mask >> i & 1)
			state->registers[i] = value;
	frame->lost |= step->mask >> RSP & 1;
}

// ---- calls

enum call_effect {
	EFFECT_NONE,     // keeps the registers
	EFFECT_FILLS,    // what RDI points to
	EFFECT_COPIES,   // what RSI points to to where RDI does
	EFFECT_MOVES,    // RCX bytes from RBX to RAX
	EFFECT_SEES,     // some bytes where RAX points to
	EFFECT_LOCKS,    // the same, and wakes others
	EFFECT_SENDS,    // puts into the channel in RAX, or closes it
	EFFECT_ARGUMENTS // whatever so many registers hold
};

// A final '*' stands for any rest.
static const struct {
	const char *name;
	enum call_effect effect;
	unsigned count;
} known_calls[] = {
	{"runtime.gcWriteBarrier*", EFFECT_NONE, 0},
	{"runtime.duffzero*", EFFECT_FILLS, 0},
	{"runtime.duffcopy*", EFFECT_COPIES, 0},
	{"runtime.memmove", EFFECT_MOVES, 0},
	{"sync.(*Mutex).*", EFFECT_LOCKS, 8},
	{"internal/sync.(*Mutex).*", EFFECT_LOCKS, 8},
	{"sync.(*RWMutex).*", EFFECT_LOCKS, 24},
	{"sync.(*WaitGroup).Wait", EFFECT_SEES, 16},
	{"sync.(*WaitGroup).Go", EFFECT_ARGUMENTS, 2},
	{"sync.(*WaitGroup).*", EFFECT_LOCKS, 16},
	{"sync.runtime_*", EFFECT_ARGUMENTS, USE_RESULTS_MAX},
	{"internal/sync.runtime_*", EFFECT_ARGUMENTS, USE_RESULTS_MAX},
	{"runtime.chansend1", EFFECT_SENDS, 0},
	{"runtime.selectnbsend", EFFECT_SENDS, 0},
	{"runtime.closechan", EFFECT_SENDS, 0},
	{"runtime.chanlen", EFFECT_SEES, 16},
	{"runtime.chancap", EFFECT_SEES, 16},
	{"runtime.chanrecv1", EFFECT_ARGUMENTS, 2},
	{"runtime.chanrecv2", EFFECT_ARGUMENTS, 2},
	{"runtime.selectnbrecv", EFFECT_ARGUMENTS, 2},
	{"runtime.newobject", EFFECT_ARGUMENTS, 1},
	{"runtime.mallocgc*", EFFECT_ARGUMENTS, 3},
	{"runtime.makeslice*", EFFECT_ARGUMENTS, 3},
	{"runtime.convTslice", EFFECT_ARGUMENTS, 3},
	{"runtime.convTstring", EFFECT_ARGUMENTS, 2},
	{"runtime.convT", EFFECT_ARGUMENTS, 2},
	{"runtime.convTnoptr", EFFECT_ARGUMENTS, 2},
	{"runtime.convT*", EFFECT_ARGUMENTS, 1},
	{"runtime.slicebytetostring", EFFECT_ARGUMENTS, 3},
	{"runtime.stringtoslicebyte", EFFECT_ARGUMENTS, 3},
	{"runtime.concatstring2", EFFECT_ARGUMENTS, 5},
	{"runtime.concatstring3", EFFECT_ARGUMENTS, 7},
	{"runtime.*", EFFECT_ARGUMENTS, USE_RESULTS_MAX},
};

static bool name_matches(const char *name, const char *known)
{
	size_t length = strlen(known);

	return known[length - 1] == '*' ? !strncmp(name, known, length - 1) : !strcmp(name, known);
}

static void registers_forget(struct use_state *state)
{
	memset(state->registers, 0, sizeof(state->registers));
}

// Does the function that is called get anything that is followed?
static bool registers_lead_somewhere(const struct use_state *state)
{
	for (unsigned i = 0; i < REGISTERS; i++)
		if (state->registers[i].nodes)
			return true;
	return false;
}

static void arguments_escape(struct use_frame *frame, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		use_argument_escape(frame->uses->use, &frame->state, i);
	registers_forget(&frame->state);
}

static void call_known(struct use_frame *frame, enum call_effect effect, unsigned count)
{
	struct use_state *state = &frame->state;
	struct use_value *registers = state->registers;
	struct code_use *use = frame->uses->use;

	switch (effect) {
	case EFFECT_NONE: // returns a buffer in R11 (1.21 on)
		registers[R11] = use_nothing;
		break;
	case EFFECT_COPIES:
		use_value_escape(use, &registers[RSI]);
		registers[RSI] = use_nothing;
		__attribute__((fallthrough));
	case EFFECT_FILLS:
		use_value_escape(use, &registers[RDI]);
		registers[RDI] = use_nothing;
		break;
	case EFFECT_MOVES: {
		struct use_window moved = {.opaque = true};
		if (use_value_is_constant(&registers[RCX]) && registers[RCX].number > 0 &&
			registers[RCX].number <= UINT32_MAX)
			moved.count = (uint32_t)registers[RCX].number;
		use_value_see(use, &registers[RAX], 0, moved);
		use_value_see(use, &registers[RBX], 0, moved);
		registers_forget(state);
		break;
	}
	case EFFECT_LOCKS:
		if (frame->uses->unlocking_counts)
			use_value_escape(use, &registers[RAX]);
		__attribute__((fallthrough));
	case EFFECT_SEES:
		use_value_see(use, &registers[RAX], 0, (struct use_window){.count = count});
		registers_forget(state);
		break;
	case EFFECT_SENDS: // what RBX points to
		if (frame->uses->sending_counts)
			use_value_escape(use, &registers[RAX]);
		use_value_escape(use, &registers[RBX]);
		registers_forget(state);
		break;
	case EFFECT_ARGUMENTS:
		arguments_escape(frame, count);
		break;
	}
}

// A function that is followed, with the registers as they are. False: it cannot be.
static bool call_follow(struct use_frame *frame, remote_addr target)
{
	struct use_function *function =
		frame->depth < CALLS_DEEP_MAX ? function_get(frame->uses, target) : NULL;
	struct use_state in = frame->state, out = {0};

	if (!function || function->running)
		return false;
	in.stack = 0;
	in.slot_count = 0;
	if (!function_run(frame->uses, function, 0, &in, frame->depth + 1, &out))
		return false;
	frame->state.live = out.live;
	memcpy(frame->state.registers, out.registers, sizeof(out.registers));
	return true;
}

static void step_call(struct use_frame *frame, const struct use_step *step)
{
	remote_addr target = step->target;
	const struct go_module *module;
	struct pcln_function function;

	if (!target) {
		if (!step->method) // RDX may be a closure's object
			use_value_escape(frame->uses->use, &frame->state.registers[RDX]);
		arguments_escape(frame, USE_RESULTS_MAX);
		return;
	}
	if (!go_find_function(frame->uses->runtime, target, &module, &function)) {
		arguments_escape(frame, USE_RESULTS_MAX);
		return;
	}
	if (code_never_returns(function.name)) {
		frame->state.live = false;
		return;
	}
	for (unsigned i = 0; i < ARRAY_COUNT(known_calls); i++) {
		if (!name_matches(function.name, known_calls[i].name))
			continue;
		call_known(frame, known_calls[i].effect, known_calls[i].count);
		return;
	}
	if (!registers_lead_somewhere(&frame->state))
		registers_forget(&frame->state);
	else if (!call_follow(frame, target))
		arguments_escape(frame, USE_RESULTS_MAX);
}

// ---- functions

static uint16_t loaded_words(const struct use_function *function)
{
	uint16_t words = 0;

	for (size_t i = 0; i < function->count; i++) {
		const struct use_step *step = &function->steps[i];
		if (step->kind == USE_LOAD && step->base == RSP && step->number >= 0 &&
			step->number < OUTGOING_BYTES)
			words |= 1 << step->number / 8;
	}
	return words;
}

// Is it a function that a deferred call was put into, by the name that the compiler gives those from 1.22 on? Up to 1.21 they
// are called like any other.
static bool is_deferred_code(const struct go_runtime *runtime, remote_addr code)
{
	const struct go_module *module;
	struct pcln_function function;

	return go_find_function(runtime, code, &module, &function) && function.entry == code &&
	       strstr(function.name, ".deferwrap");
}

static void deferred_find(const struct go_runtime *runtime, struct use_function *function)
{
	for (size_t i = 0; i < function->count; i++) {
		const struct use_step *store = &function->steps[i];
		if (store->kind != USE_STORE || store->base != RSP || store->size != 8 ||
			store->index != REGISTER_NONE || store->from >= REGISTERS)
			continue;
		for (size_t k = i; k > 0 && i - k < DEFERRED_NEAR; k--) {
			const struct use_step *step = &function->steps[k - 1];
			if (!use_step_writes(step, store->from))
				continue;
			if (function->deferred_count < DEFERRED_MAX && step->kind == USE_ADDRESS &&
				step->target && is_deferred_code(runtime, step->target))
				function->deferred[function->deferred_count++] =
					(struct deferred){store->number, step->target};
			break;
		}
	}
}

// Fills in the decoded code. False: it is not to be followed.
static bool function_read(struct code_uses *uses, remote_addr entry, struct use_function *out)
{
	struct go_runtime *runtime = uses->runtime;
	const struct go_module *module;
	struct pcln_function function;

	if (!go_find_function(runtime, entry, &module, &function) || function.entry != entry ||
		function.end <= entry || function.end - entry > FUNCTION_BYTES_MAX ||
		function.flag & FUNC_FLAG_ASM)
		return false;
	size_t size = function.end - entry;
	_cleanup_free_ uint8_t *code = malloc(size);
	if (!code) {
		uses->no_memory = true;
		return false;
	}
	if (target_read_sparse(runtime->target, entry, code, size))
		return false;
	use_decode(code, size, entry, &uses->steps);
	struct use_step *steps =
		hw_arena_calloc(&uses->arena, uses->steps.list.count + 1, sizeof(*steps));
	if (!steps || uses->steps.no_memory) {
		uses->no_memory = true;
		return false;
	}
	if (uses->steps.list.count)
		memcpy(steps, uses->steps.list.items, uses->steps.list.count * sizeof(*steps));
	*out = (struct use_function){.entry = entry,
		.end = function.end,
		.steps = steps,
		.count = uses->steps.list.count};
	out->loaded_words = loaded_words(out);
	deferred_find(runtime, out);
	out->objects = function_stack_objects(module->pclntab, &function, &out->object_count);
	return out->object_count <= OBJECTS_MAX;
}

static struct use_function *function_get(struct code_uses *uses, remote_addr entry)
{
	struct use_function function, *kept = NULL;
	uint64_t known;

	if (hw_map_get(&uses->functions, entry, &known))
		return (struct use_function *)(uintptr_t)known;
	if (function_read(uses, entry, &function)) {
		kept = hw_arena_zalloc(&uses->arena, sizeof(*kept));
		if (kept)
			*kept = function;
		else
			uses->no_memory = true;
	}
	if (!hw_map_put(&uses->functions, entry, (uintptr_t)kept))
		uses->no_memory = true;
	return kept;
}

// The first step at `address` or behind it.
static size_t step_at(const struct use_function *function, remote_addr address)
{
	return FIRST_WHERE(i, function->count, function->steps[i].address >= address);
}

static void step_return(struct use_frame *frame)
{
	frame->state.slot_count = 0;
	use_state_join(frame->returned, &frame->state, &frame->lost);
	frame->state.live = false;
}

// What the frame's state is reaches step `to` as well.
static void jump_to(struct use_frame *frame, size_t to)
{
	struct use_state **ahead = &frame->ahead[to];

	if (!*ahead)
		*ahead = hw_arena_zalloc(&frame->uses->states, sizeof(**ahead));
	if (*ahead)
		frame->changed |= use_state_join(*ahead, &frame->state, &frame->lost);
	else
		frame->uses->no_memory = frame->lost = true;
}

static void step_jump(struct use_frame *frame, const struct use_step *step)
{
	const struct use_function *function = frame->function;
	bool inside = step->target >= function->entry && step->target < function->end;
	size_t to = inside ? step_at(function, step->target) : function->count;

	if (inside && to < function->count) {
		jump_to(frame, to);
	} else if (step->target && step->kind == USE_JUMP) { // a call at the very end
		step_call(frame, step);
		if (frame->state.live)
			step_return(frame);
	} else {
		frame->lost = true;
	}
	frame->state.live &= step->kind == USE_BRANCH;
}

static void frame_step(struct use_frame *frame, const struct use_step *step)
{
	struct use_state *state = &frame->state;

	switch (step->kind) {
	case USE_MOVE:
		state->registers[step->to] = state->registers[step->from];
		break;
	case USE_NUMBER:
		state->registers[step->to] =
			(struct use_value){.number = step->number, .exact = true};
		break;
	case USE_ADD:
		state->registers[step->to].number =
			use_sum(state->registers[step->to].number, step->number);
		break;
	case USE_LOAD:
		state->registers[step->to] = step_load(frame, step);
		break;
	case USE_STORE:
		step_store(frame, step);
		break;
	case USE_ADDRESS:
		state->registers[step->to] = step_address(frame, step);
		break;
	case USE_TOUCH:
		step_touch(frame, step);
		break;
	case USE_MIX:
		step_mix(frame, step);
		break;
	case USE_ESCAPE:
		for (unsigned i = 0; i < REGISTERS; i++)
			if (step->sources >> i & 1)
				use_value_escape(frame->uses->use, &state->registers[i]);
		break;
	case USE_STACK:
		state->stack += step->number;
		frame->lost |= state->stack < -STACK_MAX || state->stack > STACK_MAX;
		break;
	case USE_CALL:
		step_call(frame, step);
		break;
	case USE_BRANCH:
	case USE_JUMP:
		step_jump(frame, step);
		break;
	case USE_RETURN:
		step_return(frame);
		break;
	case USE_STOP:
		state->live = false;
		break;
	case USE_UNKNOWN:
		frame->lost = true;
		break;
	}
}

static void frame_run_once(struct use_frame *frame)
{
	const struct use_function *function = frame->function;

	frame->state.live = false;
	for (size_t i = 0; i < function->count && !frame->lost; i++) {
		const struct use_state *ahead = frame->ahead[i];
		if (ahead && ahead->live) {
			frame->lost |= frame->state.live && frame->state.stack != ahead->stack;
			use_state_join(&frame->state, ahead, &frame->lost);
		}
		if (!frame->state.live)
			continue;
		if (!frame->uses->steps_left || !frame->uses->steps_all) {
			frame->lost = true;
			return;
		}
		frame->uses->steps_left--;
		frame->uses->steps_all--;
		frame_step(frame, &function->steps[i]);
	}
}

// From step `start` on. `out`: the registers when it returns; not live when it never does. False when it cannot be followed.
static bool function_run(struct code_uses *uses, struct use_function *function, size_t start,
	const struct use_state *in, unsigned depth, struct use_state *out)
{
	struct hw_arena_mark mark = hw_arena_mark(&uses->states);
	struct use_frame frame = {
		.uses = uses, .function = function, .state = *in, .returned = out, .depth = depth};

	frame.ahead =
		hw_arena_calloc(&uses->states, function->count + 1, sizeof(struct use_state *));
	if (!frame.ahead) {
		uses->no_memory = true;
		return false;
	}
	function->running = true;
	jump_to(&frame, start);
	for (unsigned run = 0; frame.changed && !frame.lost; run++) {
		frame.changed = false;
		frame_run_once(&frame);
		frame.lost |= run == RUNS_MAX;
	}
	function->running = false;
	hw_arena_release(&uses->states, mark);
	return !frame.lost;
}

// Fills in uses->use, whose first nodes `in` tells where to find. False: nothing is known.
static bool code_run(struct code_uses *uses, struct use_function *function, size_t start,
	const struct use_state *in, unsigned first, unsigned results)
{
	struct use_state out = {0};

	uses->use->first = uses->use->count = first;
	uses->steps_left = STEPS_MAX;
	if (!function || !function_run(uses, function, start, in, 0, &out))
		return false;
	for (unsigned i = 0; i < results && i < USE_RESULTS_MAX && out.live; i++)
		use_argument_escape(uses->use, &out, i);
	return true;
}

struct error *code_uses_create(struct go_runtime *runtime, struct code_uses **out)
{
	struct code_uses *uses = calloc(1, sizeof(*uses));

	if (!uses)
		return error_no_memory();
	uses->runtime = runtime;
	uses->steps_all = STEPS_ALL;
	hw_arena_init(&uses->arena, 0);
	hw_arena_init(&uses->states, 0);
	hw_map_init(&uses->functions);
	hw_map_init(&uses->found);
	hw_map_init(&uses->frames);
	*out = uses;
	return NULL;
}

void code_uses_destroy(struct code_uses *uses)
{
	if (!uses)
		return;
	hw_arena_deinit(&uses->arena);
	hw_arena_deinit(&uses->states);
	hw_map_deinit(&uses->functions);
	hw_map_deinit(&uses->found);
	hw_map_deinit(&uses->frames);
	hw_vector_deinit(&uses->steps.list);
	free(uses);
}

struct error *code_use_of_closure(
	struct code_uses *uses, remote_addr code, unsigned results, const struct code_use **out)
{
	uint64_t key = code << 4 | results, known;
	struct use_state in = {.live = true};

	*out = NULL;
	if (uses->runtime->target->arch != ARCH_AMD64 || results > USE_RESULTS_MAX)
		return NULL;
	if (hw_map_get(&uses->found, key, &known)) {
		*out = (const struct code_use *)(uintptr_t)known;
		return NULL;
	}
	uses->use = hw_arena_zalloc(&uses->arena, sizeof(*uses->use));
	if (!uses->use)
		return error_no_memory();
	in.registers[RDX] = (struct use_value){.nodes = 1, .exact = true};
	uses->sending_counts = true;
	uses->unlocking_counts = false;
	struct use_function *function = function_get(uses, code);
	bool known_use = code_run(uses, function, 0, &in, 1, results);
	const struct code_use *use = known_use ? uses->use : NULL;
	if (uses->no_memory || !hw_map_put(&uses->found, key, (uintptr_t)use))
		return error_no_memory();
	*out = use;
	return NULL;
}

// ---- frames

// What was found for frames at one place with the same slots.
struct frame_use {
	enum frame_question question;
	remote_addr pc;
	unsigned count;
	int64_t places[USE_SLOTS_MAX];
	bool known;
	struct code_use use;
};

static bool frame_use_fits(const struct frame_use *frame_use, const struct frame_use *other)
{
	return frame_use->question == other->question && frame_use->pc == other->pc &&
	       frame_use->count == other->count &&
	       !memcmp(frame_use->places, other->places, other->count * sizeof(other->places[0]));
}

static uint64_t frame_use_key(const struct frame_use *frame_use)
{
	uint64_t key = frame_use->pc << 1 | frame_use->question;

	for (unsigned i = 0; i < frame_use->count; i++)
		key = (key ^ (uint64_t)frame_use->places[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return key;
}

static bool frame_run(struct code_uses *uses, const struct frame *frame, struct frame_use *out)
{
	const struct go_module *module = &uses->runtime->modules[frame->module];
	struct use_state in = {.live = true,
		.stack = (int64_t)(frame->sp - frame->fp) + 8,
		.slot_count = out->count};
	struct pcln_function function;

	if (!pclntab_function(module->pclntab, frame->function, &function))
		return false;
	struct use_function *code = function_get(uses, function.entry);
	for (unsigned i = 0; i < out->count; i++)
		in.slots[i] = (struct use_slot){
			out->places[i], {.nodes = UINT64_C(1) << i, .exact = true}};
	uses->use = &out->use;
	uses->sending_counts = false;
	uses->unlocking_counts = out->question == FRAME_WAKES;
	if (!code || !code_run(uses, code, step_at(code, frame->pc + 1), &in, out->count,
			     USE_RESULTS_MAX))
		return false;
	for (unsigned i = 0; i < out->count; i++)
		if (place_is_shared(code, out->places[i]) &&
			!deferred_follow(uses,
				deferred_code(code, out->places[i] - in.stack - CAPTURED),
				&in.slots[i].value, 0))
			use_value_escape(uses->use, &in.slots[i].value);
	return true;
}

struct error *code_use_of_frame(struct code_uses *uses, enum frame_question question,
	const struct frame *frame, const remote_addr *slots, unsigned count,
	const struct code_use **out)
{
	struct frame_use wanted = {.question = question, .pc = frame->pc, .count = count}, *made;
	uint64_t known;

	*out = NULL;
	if (uses->runtime->target->arch != ARCH_AMD64 || count > USE_SLOTS_MAX ||
		frame->fp - frame->sp > STACK_MAX ||
		frame->flags & (FRAME_CONSERVATIVE | FRAME_INNERMOST | FRAME_PANICKED))
		return NULL;
	for (unsigned i = 0; i < count; i++) {
		if (slots[i] - frame->sp > STACK_MAX)
			return NULL;
		wanted.places[i] = (int64_t)(slots[i] - frame->fp) + 8;
	}
	uint64_t key = frame_use_key(&wanted);
	if (hw_map_get(&uses->frames, key, &known)) {
		made = (struct frame_use *)(uintptr_t)known;
	} else if (uses->frames.count == FRAMES_MAX) {
		return NULL;
	} else {
		made = hw_arena_zalloc(&uses->arena, sizeof(*made));
		if (!made)
			return error_no_memory();
		*made = wanted;
		made->known = frame_run(uses, frame, made);
		if (uses->no_memory || !hw_map_put(&uses->frames, key, (uintptr_t)made))
			return error_no_memory();
	}
	if (made->known && frame_use_fits(made, &wanted))
		*out = &made->use;
	return NULL;
}
