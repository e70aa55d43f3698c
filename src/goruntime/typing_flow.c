// How a function is run: its steps are applied to the state in order; at a branch the state is saved for the target.
//
// A target that something jumps back to (a loop's head) starts from what comes in from above, met with what the last run
// saw at the jumps back; the function is run again until these agree. What still changes after a few runs is forgotten.
// Only the last run's findings count.
//
// Go's calling convention since 1.17 (cmd/compile/abi-internal.md): arguments in RAX, RBX, RCX, RDI, RSI, R8 ..., results
// from RAX on, a closure's object in RDX; no register survives a call but RSP, RBP and R14; what does is spilled to
// slots relative to RSP, which moves only in prologue and epilogue.
#include "goruntime/typing_flow.h"

#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "goruntime/typing_state.h"
#include "heapwhy/pool.h"
#include "heapwhy/vector.h"

enum {
	TARGETS_MAX = 1 << 17, // branch targets of a function; those with more are left out
	RUNS_MAX = 6,
	FUNCTION_BYTES_MAX = 1 << 21,
	HIDDEN_BYTES =
		64, // how much of the frame a stack address may be used to change, where no more is known
};

// A place that is jumped to. States are large and most targets need theirs for a short while, so they come from a pool.
struct flow_target {
	remote_addr address;
	struct state *ahead;  // met from jumps forward in this run, up to the arrival
	struct state *back;   // met from jumps back in this run
	struct state *before; // what `back` was in the runs so far
};

struct flow {
	const struct flow_program *program;
	struct flow_findings *findings;
	struct decoder *decoder;
	struct steps steps;
	HW_VECTOR(struct flow_target) targets; // by address
	struct hw_pool states;

	uint32_t function;
	remote_addr entry, end;
	bool dead;       // nothing falls through to here
	bool jump_table; // the function has jumps to computed places
	struct state state;
	struct flow_value returned;
	bool returns, returns_differ;
	const struct flow_frame *frame; // whose slots are wanted, NULL: nobody's
	struct flow_slot *frame_slots;
	unsigned frame_count;
};

// How much had been found before this function.
struct mark {
	size_t facts, stores, closures, generics, maps;
};

void flow_findings_init(struct flow_findings *findings)
{
	memset(findings, 0, sizeof(*findings));
	hw_map_init(&findings->returns);
}

void flow_findings_deinit(struct flow_findings *findings)
{
	hw_vector_deinit(&findings->facts);
	hw_vector_deinit(&findings->stores);
	hw_vector_deinit(&findings->references);
	hw_vector_deinit(&findings->closures);
	hw_vector_deinit(&findings->generics);
	hw_vector_deinit(&findings->maps);
	hw_vector_deinit(&findings->return_values);
	hw_map_deinit(&findings->returns);
}

struct flow *flow_create(const struct flow_program *program, struct flow_findings *findings)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return NULL;
	flow->program = program;
	flow->findings = findings;
	hw_pool_init(&flow->states, sizeof(struct state), NULL);
	flow->decoder = decoder_create();
	if (!flow->decoder) {
		flow_destroy(flow);
		return NULL;
	}
	return flow;
}

static struct state *state_take(struct flow *flow)
{
	struct state *state = hw_pool_alloc(&flow->states);

	if (!state)
		flow->findings->no_memory = true;
	return state;
}

// Puts a state, if there is one, back into the pool.
static void state_drop(struct flow *flow, struct state **state)
{
	hw_pool_free(&flow->states, *state);
	*state = NULL;
}

static void flow_drop_states(struct flow *flow)
{
	for (size_t i = 0; i < flow->targets.count; i++) {
		state_drop(flow, &flow->targets.items[i].ahead);
		state_drop(flow, &flow->targets.items[i].back);
		state_drop(flow, &flow->targets.items[i].before);
	}
	flow->targets.count = 0;
}

void flow_destroy(struct flow *flow)
{
	if (!flow)
		return;
	decoder_destroy(flow->decoder);
	hw_vector_deinit(&flow->steps.list);
	hw_vector_deinit(&flow->steps.references);
	hw_vector_deinit(&flow->targets);
	hw_pool_deinit(&flow->states);
	free(flow);
}

// ---- findings

#define FLOW_ADD(flow, list, ...)                                          \
	do {                                                               \
		if (!hw_vector_push(&(flow)->findings->list, __VA_ARGS__)) \
			(flow)->findings->no_memory = true;                \
	} while (0)

static struct mark mark_get(const struct flow_findings *findings)
{
	return (struct mark){findings->facts.count, findings->stores.count,
		findings->closures.count, findings->generics.count, findings->maps.count};
}

static void mark_return(struct flow_findings *findings, const struct mark *mark)
{
	findings->facts.count = mark->facts;
	findings->stores.count = mark->stores;
	findings->closures.count = mark->closures;
	findings->generics.count = mark->generics;
	findings->maps.count = mark->maps;
}

static bool in_data(const struct flow *flow, remote_addr address)
{
	return address >= flow->program->data_start && address < flow->program->data_end;
}

static void flow_fact(
	struct flow *flow, enum fact_kind kind, remote_addr address, const struct go_type *type)
{
	if (in_data(flow, address))
		FLOW_ADD(flow, facts, (struct code_fact){address, type, kind, 1});
}

// ---- calls

static const struct go_type *flow_type_argument(const struct flow *flow, unsigned reg)
{
	const struct flow_value *value = &flow->state.registers[reg];

	return value->kind == VALUE_ADDRESS ? type_known(flow->program->types, value->what) : NULL;
}

static struct flow_value flow_made(const struct flow *flow, const struct step *step,
	enum value_kind kind, const struct go_type *type)
{
	return (struct flow_value){
		.what = (uintptr_t)type, .kind = kind, .maker = step->next - flow->entry};
}

static struct flow_value flow_allocate(
	struct flow *flow, const struct step *step, unsigned type_register, enum value_kind kind)
{
	const struct go_type *type = flow_type_argument(flow, type_register);

	if (!type)
		return flow_nothing;
	return flow_made(flow, step, kind, type);
}

static struct flow_value flow_grow_slice(struct flow *flow, const struct step *step)
{
	bool type_first = flow->program->grow_slice_type_first;
	struct flow_value old = flow->state.registers[type_first ? RBX : RAX];
	struct flow_value result = flow_allocate(flow, step, type_first ? RAX : RSI, VALUE_ARRAY);

	if (result.kind == VALUE_ARRAY && old.kind == VALUE_LOADED)
		flow_fact(flow, FACT_SLICE, old.what, flow_value_type(&result));
	return result;
}

// A map operation tells the type of the map, which is in a global or was made a moment ago.
static void flow_map_operation(struct flow *flow)
{
	const struct go_type *type = flow_type_argument(flow, RAX);
	struct flow_value map = flow->state.registers[RBX];

	if (!type || type->kind != GO_MAP)
		return;
	if (flow->frame)
		FLOW_ADD(flow, maps, type);
	if (map.kind == VALUE_LOADED)
		flow_fact(flow, FACT_VALUE, map.what, type);
	else if (map.kind == VALUE_POINTER && map.maker)
		state_retag(&flow->state, map,
			(struct flow_value){
				.what = (uintptr_t)type, .kind = VALUE_TYPED, .maker = map.maker});
}

static void flow_method_call(struct flow *flow, remote_addr target)
{
	const struct flow_value *self = &flow->state.registers[RAX];
	const struct flow_value *dictionary = &flow->state.registers[RBX];
	enum fact_kind kind = self->kind == VALUE_LOADED ? FACT_POINTER : FACT_IS;
	uint64_t receiver;

	if ((self->kind != VALUE_LOADED && self->kind != VALUE_ADDRESS) ||
		!in_data(flow, self->what))
		return;
	if (hw_map_get(&flow->program->receivers, target, &receiver))
		flow_fact(flow, kind, self->what, (const struct go_type *)(uintptr_t)receiver);
	else if (dictionary->kind == VALUE_ADDRESS &&
		 hw_map_get(&flow->program->generics, target, NULL))
		FLOW_ADD(flow, generics,
			(struct flow_generic){self->what, dictionary->what, target, kind});
}

static void flow_store_global(
	struct flow *flow, remote_addr address, const struct flow_value *value)
{
	if (in_data(flow, address) && value->kind >= VALUE_POINTER)
		FLOW_ADD(flow, stores, (struct flow_store){address, *value});
}

static void flow_note_frame(struct flow *flow, const struct step *step)
{
	if (!flow->frame || step->next != flow->frame->pc || flow->dead)
		return;
	memcpy(flow->frame_slots, flow->state.slots,
		flow->state.slot_count * sizeof(struct flow_slot));
	flow->frame_count = flow->state.slot_count;
}

static void flow_call(struct flow *flow, const struct step *step)
{
	struct state *state = &flow->state;
	struct flow_value result = flow_nothing;
	uint64_t kind = CALL_OTHER;

	flow_note_frame(flow, step);
	if (step->target)
		hw_map_get(&flow->program->calls, step->target, &kind);
	switch ((enum call_kind)kind) {
	case CALL_BARRIER: // returns a buffer in R11 (1.21 on)
		state->registers[R11] = flow_nothing;
		return;
	case CALL_MORE_STACK: // runs the function anew
		result = state->registers[RDX];
		memset(state->registers, 0, sizeof(state->registers));
		state->registers[RDX] = result;
		return;
	case CALL_DUFF:
		state->registers[RSI] = state->registers[RDI] = flow_nothing;
		return;
	case CALL_NEW:
		result = flow_allocate(flow, step, RAX, VALUE_POINTER);
		break;
	case CALL_MALLOC:
		result = flow_allocate(flow, step, RBX, VALUE_POINTER);
		break;
	case CALL_MAKE_SLICE:
		result = flow_allocate(flow, step, RAX, VALUE_ARRAY);
		break;
	case CALL_GROW_SLICE:
		result = flow_grow_slice(flow, step);
		break;
	case CALL_MAP:
		flow_map_operation(flow);
		break;
	case CALL_MAKE_MAP: // its type shows when it is used
		if (flow->program->map_header)
			result = flow_made(flow, step, VALUE_POINTER, flow->program->map_header);
		break;
	case CALL_MAKE_VALUE: {
		const struct go_type *type = flow_type_argument(flow, RAX);
		if (type && (type->kind == GO_MAP || type->kind == GO_CHAN))
			result = flow_made(flow, step, VALUE_TYPED, type);
		break;
	}
	case CALL_STORE:
		if (state->registers[RAX].kind == VALUE_ADDRESS)
			flow_store_global(flow, state->registers[RAX].what, &state->registers[RBX]);
		break;
	case CALL_NO_RETURN:
		flow->dead = true;
		return;
	case CALL_OTHER:
		if (step->target) {
			flow_method_call(flow, step->target);
			result = (struct flow_value){.what = step->target, .kind = VALUE_RESULT};
		}
		break;
	}
	memset(state->registers, 0, sizeof(state->registers));
	state->registers[RAX] = result;
}

// A function's result has one type, so one return of a known pointer speaks for the others too, unless they say
// otherwise (unsafe.Pointer). In functions without results RAX holds rubbish, which no caller looks at.
static void flow_return(struct flow *flow)
{
	struct flow_value value = flow->state.registers[RAX];

	value.maker = 0;
	if (!value_is_typed(&value) && value.kind != VALUE_RESULT)
		return;
	if (flow->returns && !value_equal(&value, &flow->returned)) {
		if (value.kind == VALUE_RESULT)
			return; // its own type decides
		if (flow->returned.kind != VALUE_RESULT)
			flow->returns_differ = true;
	}
	flow->returned = value;
	flow->returns = true;
}

// ---- memory

// The leaf or, for an address, the outermost struct or array that begins at `offset` of `type`.
static const struct go_type *type_at(const struct go_type *type, uint64_t offset, bool leaf)
{
	for (unsigned depth = 0; depth < TYPE_DEPTH_MAX && offset < type->size; depth++) {
		const struct go_type *inner = NULL;
		if (type->kind == GO_STRUCT) {
			for (uint32_t i = 0; i < type->field_count; i++) {
				const struct go_field *field = &type->fields[i];
				if (offset - field->offset < field->type->size) {
					inner = field->type;
					offset -= field->offset;
					break;
				}
			}
		} else if (type->kind == GO_ARRAY && type->elem && type->elem->size) {
			inner = type->elem;
			offset %= inner->size;
		}
		if (!inner)
			return offset ? NULL : type;
		type = inner;
		if (!leaf && !offset)
			return type;
	}
	return NULL;
}

// Where base + offset + index * scale leads, as an offset in the type that `base` points to (or to an array of).
static bool access_offset(const struct flow_value *base, const struct step *step, uint64_t *offset)
{
	const struct go_type *type = flow_value_type(base);

	if (!type->size || step->offset < 0)
		return false;
	if (base->kind == VALUE_ARRAY && (!step->indexed || step->size == type->size)) {
		*offset = (uint64_t)step->offset % type->size;
		return true;
	}
	*offset = step->offset;
	return base->kind == VALUE_POINTER && !step->indexed;
}

// The word that a typed pointer leads to, by the type of the field that is loaded.
static struct flow_value flow_load(const struct flow *flow, const struct step *step)
{
	uint64_t offset;

	if (step->base >= REGISTERS)
		return flow_nothing;
	const struct flow_value *base = &flow->state.registers[step->base];
	if ((base->kind != VALUE_POINTER && base->kind != VALUE_ARRAY) ||
		!access_offset(base, step, &offset))
		return flow_nothing;
	const struct go_type *field = type_at(flow_value_type(base), offset, true);
	if (!field)
		return flow_nothing;
	switch (field->kind) {
	case GO_POINTER:
		return field->elem ? (struct flow_value){.what = (uintptr_t)field->elem,
					     .kind = VALUE_POINTER}
				   : flow_nothing;
	case GO_SLICE:
		return field->elem ? (struct flow_value){.what = (uintptr_t)field->elem,
					     .kind = VALUE_ARRAY}
				   : flow_nothing;
	case GO_MAP:
	case GO_CHAN:
	case GO_FUNC:
		return (struct flow_value){.what = (uintptr_t)field, .kind = VALUE_TYPED};
	default:
		return flow_nothing;
	}
}

static struct flow_value flow_offset(const struct flow *flow, const struct step *step)
{
	uint64_t offset;

	if (step->base >= REGISTERS)
		return flow_nothing;
	const struct flow_value *base = &flow->state.registers[step->base];
	if ((base->kind != VALUE_POINTER && base->kind != VALUE_ARRAY) ||
		!access_offset(base, step, &offset))
		return flow_nothing;
	if (base->kind == VALUE_ARRAY && !offset)
		return *base;
	const struct go_type *field = type_at(flow_value_type(base), offset, false);
	return field ? (struct flow_value){.what = (uintptr_t)field, .kind = VALUE_POINTER}
		     : flow_nothing;
}

bool flow_is_closure_type(const struct go_type *type)
{
	const char *name = type->kind == GO_STRUCT && type->field_count ? type->fields[0].name : "";

	return (!strcmp(name, "F") || !strcmp(name, ".F")) && !*type->package &&
	       type->fields[0].type->kind == GO_UINTPTR;
}

static void flow_store(struct flow *flow, const struct step *step)
{
	const struct flow_program *program = flow->program;
	const struct flow_value *value = &flow->state.registers[step->reg];

	if (step->base >= REGISTERS || step->offset || step->indexed ||
		value->kind != VALUE_ADDRESS || value->what < program->start ||
		value->what >= program->end)
		return;
	const struct flow_value *base = &flow->state.registers[step->base];
	if (base->kind == VALUE_POINTER && flow_is_closure_type(flow_value_type(base)))
		FLOW_ADD(flow, closures, (struct flow_closure){value->what, flow_value_type(base)});
}

static void flow_set(struct flow *flow, unsigned reg, struct flow_value value)
{
	if (reg == RSP)
		flow->state.slot_count = 0;
	else if (reg < REGISTERS)
		flow->state.registers[reg] = value;
}

// ---- control flow

static struct flow_target *flow_target(struct flow *flow, remote_addr address)
{
	size_t at = FIRST_WHERE(i, flow->targets.count, flow->targets.items[i].address >= address);

	return at < flow->targets.count && flow->targets.items[at].address == address
		       ? &flow->targets.items[at]
		       : NULL;
}

static void flow_branch(struct flow *flow, const struct step *step)
{
	struct flow_target *target = flow_target(flow, step->target);

	if (!target || flow->dead)
		return;
	struct state **state = step->target <= step->address ? &target->back : &target->ahead;
	if (*state) {
		state_meet(*state, &flow->state);
		return;
	}
	*state = state_take(flow);
	if (*state)
		state_copy(*state, &flow->state);
}

static void flow_arrive(struct flow *flow, struct flow_target *target)
{
	const struct state *in = target->ahead ? target->ahead : target->before;

	if (flow->jump_table) { // whatever state the table is used in comes here too
		state_clear(&flow->state);
		flow->dead = false;
	} else if (in) { // else only from behind, and that was not run yet
		if (flow->dead)
			state_copy(&flow->state, in);
		else
			state_meet(&flow->state, in);
		flow->dead = false;
		if (target->ahead && target->before)
			state_meet(&flow->state, target->before);
	}
	state_drop(flow, &target->ahead);
}

// Is the address that the step takes stored, or given to a function that takes such? Then it is the address of a
// variable, and not of a part of the frame that is about to be zeroed or copied.
static bool flow_hands_on(const struct flow *flow, const struct step *step)
{
	const struct step *end = flow->steps.list.items + flow->steps.list.count;
	unsigned reg = step->reg;

	for (step++; step < end && reg < REGISTERS; step++) {
		uint64_t takes = 0;
		switch (step->kind) {
		case STEP_STORE_GLOBAL:
		case STEP_STORE_STACK:
		case STEP_STORE:
			if (step->reg == reg)
				return true;
			break;
		case STEP_CALL:
			return step->target &&
			       hw_map_get(&flow->program->takers, step->target, &takes) &&
			       takes >> reg & 1;
		case STEP_CLOBBER:
			if (step->mask >> reg & 1)
				return false;
			break;
		case STEP_BRANCH:
		case STEP_JUMP:
		case STEP_RETURN:
		case STEP_STOP:
			return false;
		case STEP_ZERO_STACK:
			break;
		default: // sets a register
			if (step->reg == reg)
				return false;
		}
	}
	return false;
}

// How many bytes of the frame may change through the address that the step takes. The compiler lists the variables that
// have pointers and whose addresses are taken (cmd/compile/internal/liveness, emitStackObjects, 1.19 to 1.27): of
// others, addresses are handed on only of those without pointers, which are no concern here.
static int64_t flow_hidden_bytes(const struct flow *flow, const struct step *step)
{
	const struct flow_frame *frame = flow->frame;

	if (!frame)
		return HIDDEN_BYTES;
	for (size_t i = 0; i < frame->object_count; i++) {
		const struct flow_object *object = &frame->objects[i];
		if (step->offset >= object->offset && step->offset < object->offset + object->size)
			return object->offset + object->size - step->offset;
	}
	if (flow_hands_on(flow, step))
		return 0;
	int64_t left = frame->locals_end - step->offset;
	return left < 0 ? 0 : left < HIDDEN_BYTES ? left : HIDDEN_BYTES;
}

static void flow_step(struct flow *flow, const struct step *step)
{
	struct state *state = &flow->state;

	switch (step->kind) {
	case STEP_ADDRESS:
		flow_set(flow, step->reg,
			(struct flow_value){.what = step->target, .kind = VALUE_ADDRESS});
		break;
	case STEP_LOAD_GLOBAL:
		flow_set(flow, step->reg,
			(struct flow_value){.what = step->target, .kind = VALUE_LOADED});
		break;
	case STEP_STORE_GLOBAL:
		flow_store_global(flow, step->target, &state->registers[step->reg]);
		break;
	case STEP_LOAD_STACK: {
		struct flow_value value = state_slot(state, step->offset);
		if (value.kind != VALUE_NONE)
			state_store(state, step->offset, value); // now the one used last
		flow_set(flow, step->reg, value);
		break;
	}
	case STEP_STORE_STACK:
		state_forget(state, step->offset, step->size);
		if (step->reg < REGISTERS)
			state_store(state, step->offset, state->registers[step->reg]);
		break;
	case STEP_ZERO_STACK:
		state_store(state, step->offset, (struct flow_value){.kind = VALUE_NIL});
		break;
	case STEP_STACK_ADDRESS:
		flow_set(flow, step->reg, flow_nothing);
		state_forget(state, step->offset, flow_hidden_bytes(flow, step));
		break;
	case STEP_LOAD:
		flow_set(flow, step->reg, flow_load(flow, step));
		break;
	case STEP_STORE:
		flow_store(flow, step);
		break;
	case STEP_OFFSET:
		flow_set(flow, step->reg, flow_offset(flow, step));
		break;
	case STEP_MOVE:
		flow_set(flow, step->reg,
			step->base < REGISTERS ? state->registers[step->base] : flow_nothing);
		break;
	case STEP_ZERO:
		flow_set(flow, step->reg, (struct flow_value){.kind = VALUE_NIL});
		break;
	case STEP_CALL:
		flow_call(flow, step);
		break;
	case STEP_BRANCH:
		flow_branch(flow, step);
		break;
	case STEP_JUMP:
		if (flow_target(flow, step->target))
			flow_branch(flow, step);
		flow->dead = true;
		break;
	case STEP_RETURN:
		flow_return(flow);
		flow->dead = true;
		break;
	case STEP_STOP:
		flow->dead = true;
		break;
	case STEP_CLOBBER:
		for (unsigned i = 0; i < REGISTERS; i++)
			if (step->mask >> i & 1)
				flow_set(flow, i, flow_nothing);
		break;
	}
}

static void flow_start(struct flow *flow)
{
	const struct flow_program *program = flow->program;
	uint64_t type;

	state_clear(&flow->state);
	flow->dead = false;
	flow->returns = flow->returns_differ = false;
	if (hw_map_get(&program->receivers, flow->entry, &type))
		flow->state.registers[RAX] =
			(struct flow_value){.what = type, .kind = VALUE_POINTER};
	if (program->captures && hw_map_get(program->captures, flow->entry, &type))
		flow->state.registers[RDX] =
			(struct flow_value){.what = type, .kind = VALUE_POINTER};
	for (size_t i = 0; i < flow->targets.count; i++) {
		state_drop(flow, &flow->targets.items[i].ahead);
		state_drop(flow, &flow->targets.items[i].back);
	}
}

static void flow_run_once(struct flow *flow)
{
	size_t next = 0;

	flow_start(flow);
	for (size_t i = 0; i < flow->steps.list.count; i++) {
		const struct step *step = &flow->steps.list.items[i];
		while (next < flow->targets.count &&
			flow->targets.items[next].address <= step->address)
			flow_arrive(flow, &flow->targets.items[next++]);
		if (flow->dead && flow->jump_table) {
			state_clear(&flow->state);
			flow->dead = false;
		}
		if (!flow->dead)
			flow_step(flow, step);
	}
}

// Takes what the jumps back brought into account. True when that changes what the loops start from. When that has gone on
// for too long, all loops start from nothing, which nothing changes.
static bool flow_feed_back(struct flow *flow, bool give_up)
{
	bool changed = false;

	for (size_t i = 0; i < flow->targets.count; i++) {
		struct flow_target *target = &flow->targets.items[i];
		if (!target->back)
			continue;
		if (!target->before) {
			target->before = target->back;
			target->back = NULL;
			changed = true;
		} else if (state_meet(target->before, target->back)) {
			changed = true;
		}
	}
	for (size_t i = 0; i < flow->targets.count && changed && give_up; i++)
		if (flow->targets.items[i].before)
			state_clear(flow->targets.items[i].before);
	return changed;
}

static int compare_targets(const void *left, const void *right)
{
	const struct flow_target *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

// Lists the places that the function jumps to within itself. False: too many, or out of memory.
static bool flow_find_targets(struct flow *flow)
{
	struct flow_target *targets;
	size_t kept = 0;

	flow_drop_states(flow);
	flow->jump_table = false;
	for (size_t i = 0; i < flow->steps.list.count; i++) {
		const struct step *step = &flow->steps.list.items[i];
		bool jump = step->kind == STEP_BRANCH || step->kind == STEP_JUMP;
		flow->jump_table |= step->kind == STEP_JUMP && !step->target;
		if (!jump || step->target < flow->entry || step->target >= flow->end)
			continue;
		if (flow->targets.count == TARGETS_MAX ||
			!hw_vector_push(
				&flow->targets, ((struct flow_target){.address = step->target})))
			return false;
	}
	targets = flow->targets.items;
	if (flow->targets.count)
		qsort(targets, flow->targets.count, sizeof(targets[0]), compare_targets);
	for (size_t i = 0; i < flow->targets.count; i++)
		if (!kept || targets[kept - 1].address != targets[i].address)
			targets[kept++] = targets[i];
	flow->targets.count = kept;
	return true;
}

static bool flow_run(struct flow *flow, remote_addr entry, remote_addr end)
{
	const struct flow_program *program = flow->program;
	struct mark mark = mark_get(flow->findings);

	flow->entry = entry;
	flow->end = end;
	decoder_run(flow->decoder, program->text + (entry - program->start), end - entry, entry,
		&flow->steps);
	if (flow->steps.no_memory || !flow_find_targets(flow))
		return false;
	for (unsigned run = 0; run < 2 * RUNS_MAX; run++) {
		mark_return(flow->findings, &mark);
		flow_run_once(flow);
		if (!flow_feed_back(flow, run + 1 >= RUNS_MAX))
			return true;
	}
	mark_return(flow->findings, &mark);
	return false;
}

static bool flow_is_in_text(const struct flow *flow, remote_addr entry, remote_addr end)
{
	return entry >= flow->program->start && end <= flow->program->end && end > entry &&
	       end - entry <= FUNCTION_BYTES_MAX;
}

// Could the function tell anything? A look at its bytes, without decoding: a call to one of the known functions, or a
// displacement that leads to data.
static bool flow_is_worthwhile(const struct flow *flow, remote_addr entry, remote_addr end)
{
	const struct flow_program *program = flow->program;
	const uint8_t *code = program->text + (entry - program->start);
	uint64_t bytes = end - entry, data_bytes = program->data_end - program->data_start + 8;

	for (uint64_t i = 1; i + 4 <= bytes; i++) {
		int32_t displacement;
		memcpy(&displacement, code + i, sizeof(displacement));
		remote_addr target = entry + i + 4 + displacement;
		// Up to 4 bytes of immediate operand may lie behind the displacement.
		if (target + 4 - program->data_start < data_bytes)
			return true;
		if (code[i - 1] == 0xe8 && hw_map_get(&program->calls, target, NULL))
			return true;
	}
	return false;
}

void flow_function(struct flow *flow, uint32_t index, remote_addr entry, remote_addr end)
{
	struct flow_findings *findings = flow->findings;

	if (!flow_is_in_text(flow, entry, end))
		return;
	findings->bytes += end - entry;
	if (!flow_is_worthwhile(flow, entry, end))
		return;
	findings->functions++;
	bool good = flow_run(flow, entry, end);
	findings->no_memory |= flow->steps.no_memory;
	for (size_t i = 0; i < flow->steps.references.count; i++)
		if (in_data(flow, flow->steps.references.items[i]))
			FLOW_ADD(flow, references,
				(struct code_reference){flow->steps.references.items[i], index});
	if (!good || !flow->returns || flow->returns_differ)
		return;
	FLOW_ADD(flow, return_values, flow->returned);
	if (!hw_map_put(&findings->returns, entry, findings->return_values.count - 1))
		findings->no_memory = true;
}

unsigned flow_frame(
	struct flow *flow, const struct flow_frame *frame, struct flow_slot slots[FLOW_SLOTS_MAX])
{
	if (!flow_is_in_text(flow, frame->entry, frame->end))
		return 0;
	flow->frame = frame;
	flow->frame_slots = slots;
	flow->frame_count = 0;
	bool good = flow_run(flow, frame->entry, frame->end);
	flow->frame = NULL;
	return good ? flow->frame_count : 0;
}
