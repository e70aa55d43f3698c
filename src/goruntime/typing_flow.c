// How a function is run: decode, apply each instruction's effect to the state, save the state at branch targets ahead.
//
// Loops: the first run notes what is jumped back to; if there is such a place, what was found is thrown away and the
// function is run again, now starting from nothing at these places. That keeps the common case, no loop, at one decoding.
//
// Go's calling convention since 1.17 (cmd/compile/abi-internal.md): arguments in RAX, RBX, RCX, RDI, RSI, R8 ..., results
// from RAX on, no register survives a call but RSP, RBP and R14; what does is spilled to slots relative to RSP, which
// moves only in prologue and epilogue.
#include "goruntime/typing_flow.h"

#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R11 = 11, REGISTERS = 16 };

enum {
	SLOTS_MAX = 32,
	JOINS_MAX = 512,  // branch targets ahead at any moment; functions with more are left out
	HEADS_MAX = 4096, // places jumped back to
	FUNCTION_BYTES_MAX = 1 << 20,
};

struct slot {
	int64_t offset; // from RSP
	struct flow_value value;
};

struct state {
	struct flow_value registers[REGISTERS];
	struct slot slots[SLOTS_MAX];
	unsigned slot_count;
};

struct join {
	remote_addr address;
	struct state state;
};

struct flow {
	const struct flow_program *program;
	struct flow_findings *findings;
	ZydisDecoder decoder;
	ZydisDecodedInstruction instruction;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

	uint32_t function;
	remote_addr entry, end, next; // `next`: the instruction behind the current one
	bool dead;                    // nothing falls through to here
	bool failed;                  // too many branch targets
	struct state state;
	uint32_t serial;
	struct join *joins; // waiting states, in no order
	unsigned join_count;
	remote_addr *heads;
	unsigned head_count;
	bool heads_known; // the second run
	struct flow_value returned;
	bool returns, returns_differ;
};

// How much had been found before this function.
struct mark {
	size_t facts, stores, references, closures, allocations;
	uint64_t allocation_calls;
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
	hw_vector_deinit(&findings->allocations);
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
	flow->joins = malloc(JOINS_MAX * sizeof(*flow->joins));
	flow->heads = malloc(HEADS_MAX * sizeof(*flow->heads));
	ZydisDecoderInit(&flow->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (!flow->joins || !flow->heads) {
		flow_destroy(flow);
		return NULL;
	}
	return flow;
}

void flow_destroy(struct flow *flow)
{
	if (!flow)
		return;
	free(flow->joins);
	free(flow->heads);
	free(flow);
}

static const struct flow_value nothing;

static bool value_equal(const struct flow_value *a, const struct flow_value *b)
{
	return a->kind == b->kind && a->what == b->what && a->serial == b->serial;
}

// ---- states

static void state_clear(struct state *state)
{
	memset(state->registers, 0, sizeof(state->registers));
	state->slot_count = 0;
}

static struct flow_value state_slot(const struct state *state, int64_t offset)
{
	for (unsigned i = 0; i < state->slot_count; i++)
		if (state->slots[i].offset == offset)
			return state->slots[i].value;
	return nothing;
}

// Forgets the slots that [offset, offset + bytes) overlaps.
static void state_forget(struct state *state, int64_t offset, int64_t bytes)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < state->slot_count; i++)
		if (state->slots[i].offset + 8 <= offset ||
			state->slots[i].offset >= offset + bytes)
			state->slots[kept++] = state->slots[i];
	state->slot_count = kept;
}

static void state_store(struct state *state, int64_t offset, struct flow_value value)
{
	state_forget(state, offset, 8);
	if (value.kind == VALUE_NONE)
		return;
	if (state->slot_count == SLOTS_MAX) {
		memmove(state->slots, state->slots + 1, (SLOTS_MAX - 1) * sizeof(state->slots[0]));
		state->slot_count--;
	}
	state->slots[state->slot_count++] = (struct slot){offset, value};
}

// Keeps what both states agree on.
static void state_meet(struct state *state, const struct state *other)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < REGISTERS; i++)
		if (!value_equal(&state->registers[i], &other->registers[i]))
			state->registers[i] = nothing;
	for (unsigned i = 0; i < state->slot_count; i++) {
		struct flow_value value = state_slot(other, state->slots[i].offset);
		if (value_equal(&value, &state->slots[i].value))
			state->slots[kept++] = state->slots[i];
	}
	state->slot_count = kept;
}

static void state_copy(struct state *to, const struct state *from)
{
	memcpy(to->registers, from->registers, sizeof(to->registers));
	memcpy(to->slots, from->slots, from->slot_count * sizeof(to->slots[0]));
	to->slot_count = from->slot_count;
}

// The value that an instruction made now turns out to be of another kind; all copies of it change.
static void state_retag(struct state *state, struct flow_value old, struct flow_value new)
{
	for (unsigned i = 0; i < REGISTERS; i++)
		if (value_equal(&state->registers[i], &old))
			state->registers[i] = new;
	for (unsigned i = 0; i < state->slot_count; i++)
		if (value_equal(&state->slots[i].value, &old))
			state->slots[i].value = new;
}

// ---- control flow

static struct join *flow_join_at(struct flow *flow, remote_addr address)
{
	for (unsigned i = 0; i < flow->join_count; i++)
		if (flow->joins[i].address == address)
			return &flow->joins[i];
	return NULL;
}

static bool flow_is_head(const struct flow *flow, remote_addr address)
{
	for (unsigned i = 0; i < flow->head_count; i++)
		if (flow->heads[i] == address)
			return true;
	return false;
}

static void flow_branch(struct flow *flow, remote_addr target, remote_addr here)
{
	if (target < flow->entry || target >= flow->end)
		return;
	if (target <= here) {
		if (flow->heads_known || flow_is_head(flow, target))
			return;
		if (flow->head_count == HEADS_MAX)
			flow->failed = true;
		else
			flow->heads[flow->head_count++] = target;
		return;
	}
	struct join *join = flow_join_at(flow, target);
	if (join) {
		state_meet(&join->state, &flow->state);
	} else if (flow->join_count == JOINS_MAX) {
		flow->failed = true;
	} else {
		join = &flow->joins[flow->join_count++];
		join->address = target;
		state_copy(&join->state, &flow->state);
	}
}

// The state in which the instruction at `here` starts.
static void flow_arrive(struct flow *flow, remote_addr here)
{
	struct join *join = flow_join_at(flow, here);

	if (join) {
		if (flow->dead)
			state_copy(&flow->state, &join->state);
		else
			state_meet(&flow->state, &join->state);
		struct join *last = &flow->joins[--flow->join_count];
		if (join != last) {
			join->address = last->address;
			state_copy(&join->state, &last->state);
		}
	} else if (flow->dead) {
		state_clear(&flow->state);
	}
	flow->dead = false;
	if (flow->heads_known && flow_is_head(flow, here))
		state_clear(&flow->state);
}

// ---- findings

#define FLOW_ADD(flow, list, ...)                                          \
	do {                                                               \
		if (!hw_vector_push(&(flow)->findings->list, __VA_ARGS__)) \
			(flow)->findings->no_memory = true;                \
	} while (0)

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

static const struct go_type *flow_type_argument(const struct flow *flow, unsigned reg)
{
	const struct flow_value *value = &flow->state.registers[reg];

	return value->kind == VALUE_ADDRESS ? type_known(flow->program->types, value->what) : NULL;
}

static struct flow_value flow_made(struct flow *flow, enum value_kind kind, uint64_t what)
{
	return (struct flow_value){.what = what, .kind = kind, .serial = ++flow->serial};
}

static struct flow_value flow_allocate(
	struct flow *flow, unsigned type_register, enum value_kind kind)
{
	const struct go_type *type = flow_type_argument(flow, type_register);

	flow->findings->allocation_calls++;
	if (!type)
		return nothing;
	FLOW_ADD(flow, allocations, (struct flow_allocation){type, kind == VALUE_ARRAY});
	return flow_made(flow, kind, (uintptr_t)type);
}

// A map operation tells the type of the map, which is in a global or was made a moment ago.
static void flow_map_operation(struct flow *flow)
{
	const struct go_type *type = flow_type_argument(flow, RAX);
	struct flow_value map = flow->state.registers[RBX];

	if (!type || type->kind != GO_MAP)
		return;
	if (map.kind == VALUE_LOADED)
		flow_fact(flow, FACT_VALUE, map.what, type);
	else if (map.kind == VALUE_NEW)
		state_retag(&flow->state, map, flow_made(flow, VALUE_TYPED, (uintptr_t)type));
}

static void flow_method_call(struct flow *flow, remote_addr target)
{
	const struct flow_value *self = &flow->state.registers[RAX];
	uint64_t receiver;

	if ((self->kind != VALUE_LOADED && self->kind != VALUE_ADDRESS) ||
		!in_data(flow, self->what) ||
		!hw_map_get(&flow->program->receivers, target, &receiver))
		return;
	flow_fact(flow, self->kind == VALUE_LOADED ? FACT_POINTER : FACT_IS, self->what,
		(const struct go_type *)(uintptr_t)receiver);
}

static void flow_call(struct flow *flow, remote_addr target)
{
	struct state *state = &flow->state;
	struct flow_value result = nothing;
	uint64_t kind = CALL_OTHER;

	if (target)
		hw_map_get(&flow->program->calls, target, &kind);
	switch ((enum call_kind)kind) {
	case CALL_BARRIER: // returns a buffer in R11 (1.21 on)
		state->registers[R11] = nothing;
		return;
	case CALL_DUFF:
		state->registers[RSI] = state->registers[RDI] = nothing;
		return;
	case CALL_NEW:
		result = flow_allocate(flow, RAX, VALUE_NEW);
		break;
	case CALL_MALLOC:
		result = flow_allocate(flow, RBX, VALUE_NEW);
		break;
	case CALL_BOX:
		flow_allocate(flow, RAX, VALUE_NEW);
		break;
	case CALL_MAKE_SLICE:
		result = flow_allocate(flow, RAX, VALUE_ARRAY);
		break;
	case CALL_GROW_SLICE: {
		unsigned type = flow->program->grow_slice_type_first ? RAX : RSI;
		struct flow_value *old =
			&state->registers[flow->program->grow_slice_type_first ? RBX : RAX];
		result = flow_allocate(flow, type, VALUE_ARRAY);
		if (result.kind == VALUE_ARRAY && old->kind == VALUE_LOADED)
			flow_fact(flow, FACT_SLICE, old->what,
				(const struct go_type *)(uintptr_t)result.what);
		break;
	}
	case CALL_MAP:
		flow_map_operation(flow);
		break;
	case CALL_MAKE_VALUE: {
		const struct go_type *type = flow_type_argument(flow, RAX);
		if (type && (type->kind == GO_MAP || type->kind == GO_CHAN))
			result = flow_made(flow, VALUE_TYPED, (uintptr_t)type);
		break;
	}
	case CALL_OTHER:
		if (target) {
			flow_method_call(flow, target);
			result = flow_made(flow, VALUE_RESULT, target);
		}
		break;
	}
	memset(state->registers, 0, sizeof(state->registers));
	state->registers[RAX] = result;
}

static void flow_return(struct flow *flow)
{
	struct flow_value value = flow->state.registers[RAX];

	value.serial = 0;
	if (value.kind != VALUE_NEW && value.kind != VALUE_RESULT && value.kind != VALUE_TYPED)
		flow->returns_differ = true;
	else if (flow->returns && !value_equal(&value, &flow->returned))
		flow->returns_differ = true;
	flow->returned = value;
	flow->returns = true;
}

// ---- instructions

// Number of the general register that `reg` is or is a part of, or -1.
static int register_number(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
		return reg - ZYDIS_REGISTER_RAX;
	if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D)
		return reg - ZYDIS_REGISTER_EAX;
	if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W)
		return reg - ZYDIS_REGISTER_AX;
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15B) {
		ZydisRegister wide =
			ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
		return wide - ZYDIS_REGISTER_RAX;
	}
	return -1;
}

static bool is_stack_slot(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       operand->mem.base == ZYDIS_REGISTER_RSP && operand->mem.index == ZYDIS_REGISTER_NONE;
}

// The address of a RIP-relative operand, or 0.
static remote_addr relative_address(const struct flow *flow, const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->mem.base == ZYDIS_REGISTER_RIP
		       ? flow->next + operand->mem.disp.value
		       : 0;
}

static void flow_note_references(struct flow *flow)
{
	for (unsigned i = 0; i < flow->instruction.operand_count_visible; i++) {
		remote_addr address = relative_address(flow, &flow->operands[i]);
		if (address && in_data(flow, address))
			FLOW_ADD(
				flow, references, (struct code_reference){address, flow->function});
	}
}

static bool is_code_word(const struct go_type *type)
{
	const char *name = type->field_count ? type->fields[0].name : "";

	return type->kind == GO_STRUCT && (!strcmp(name, "F") || !strcmp(name, ".F")) &&
	       type->fields[0].type->kind == GO_UINTPTR;
}

// A register stored through another one: the code word of a fresh closure?
static void flow_store_indirect(
	struct flow *flow, const ZydisDecodedOperand *to, const struct flow_value *value)
{
	int base = register_number(to->mem.base);
	const struct flow_program *program = flow->program;

	if (base < 0 || to->mem.disp.value || to->mem.index != ZYDIS_REGISTER_NONE ||
		value->kind != VALUE_ADDRESS || value->what < program->start ||
		value->what >= program->end || flow->state.registers[base].kind != VALUE_NEW)
		return;
	const struct go_type *type =
		(const struct go_type *)(uintptr_t)flow->state.registers[base].what;
	if (is_code_word(type))
		FLOW_ADD(flow, closures, (struct flow_closure){value->what, type});
}

static struct flow_value operand_value(const struct flow *flow, const ZydisDecodedOperand *operand)
{
	if (operand->size != 64)
		return nothing;
	if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		int number = register_number(operand->reg.value);
		return number >= 0 ? flow->state.registers[number] : nothing;
	}
	if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return nothing;
	remote_addr address = relative_address(flow, operand);
	if (address)
		return (struct flow_value){.kind = VALUE_LOADED, .what = address};
	return is_stack_slot(operand) ? state_slot(&flow->state, operand->mem.disp.value) : nothing;
}

static void flow_set_register(
	struct flow *flow, const ZydisDecodedOperand *operand, struct flow_value value)
{
	int number = register_number(operand->reg.value);

	if (number == RSP)
		flow->state.slot_count = 0;
	else if (number >= 0)
		flow->state.registers[number] = value;
}

static void flow_move(struct flow *flow)
{
	const ZydisDecodedOperand *to = &flow->operands[0];
	struct flow_value value = operand_value(flow, &flow->operands[1]);

	if (to->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		flow_set_register(flow, to, value);
		return;
	}
	remote_addr address = relative_address(flow, to);
	if (is_stack_slot(to)) {
		state_forget(&flow->state, to->mem.disp.value, to->size / 8);
		if (to->size == 64)
			state_store(&flow->state, to->mem.disp.value, value);
	} else if (address) {
		if (in_data(flow, address) && value.kind >= VALUE_NEW)
			FLOW_ADD(flow, stores, (struct flow_store){address, value});
	} else {
		flow_store_indirect(flow, to, &value);
	}
}

static void flow_load_address(struct flow *flow)
{
	const ZydisDecodedOperand *to = &flow->operands[0], *from = &flow->operands[1];
	remote_addr address = relative_address(flow, from);

	flow_set_register(flow, to,
		address ? (struct flow_value){.kind = VALUE_ADDRESS, .what = address} : nothing);
	if (is_stack_slot(from)) // a variable there may now change behind our back
		state_forget(&flow->state, from->mem.disp.value, 256);
}

// What any other instruction writes is unknown afterwards.
static void flow_other(struct flow *flow)
{
	for (unsigned i = 0; i < flow->instruction.operand_count; i++) {
		const ZydisDecodedOperand *operand = &flow->operands[i];
		if (!(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER)
			flow_set_register(flow, operand, nothing);
		else if (is_stack_slot(operand))
			state_forget(&flow->state, operand->mem.disp.value, operand->size / 8);
	}
}

static void flow_instruction(struct flow *flow, remote_addr here)
{
	const ZydisDecodedOperand *first = &flow->operands[0];
	remote_addr target = 0;

	if (flow->instruction.operand_count_visible &&
		first->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && first->imm.is_relative)
		target = flow->next + first->imm.value.s;
	flow_note_references(flow);
	switch (flow->instruction.mnemonic) {
	case ZYDIS_MNEMONIC_LEA:
		flow_load_address(flow);
		return;
	case ZYDIS_MNEMONIC_MOV:
		flow_move(flow);
		return;
	case ZYDIS_MNEMONIC_CALL:
		flow_call(flow, target);
		return;
	case ZYDIS_MNEMONIC_RET:
		flow_return(flow);
		flow->dead = true;
		return;
	case ZYDIS_MNEMONIC_UD2:
		flow->dead = true;
		return;
	default:
		break;
	}
	if (flow->instruction.meta.category == ZYDIS_CATEGORY_COND_BR ||
		flow->instruction.meta.category == ZYDIS_CATEGORY_UNCOND_BR) {
		if (target)
			flow_branch(flow, target, here);
		if (flow->instruction.meta.category == ZYDIS_CATEGORY_UNCOND_BR) {
			// A jump out of the function returns what that one returns, which is not followed.
			if (target < flow->entry || target >= flow->end)
				flow->returns_differ = true;
			flow->dead = true;
		}
		return;
	}
	flow_other(flow);
}

static void flow_run(struct flow *flow)
{
	const struct flow_program *program = flow->program;

	state_clear(&flow->state);
	flow->join_count = 0;
	flow->dead = flow->failed = false;
	flow->returns = flow->returns_differ = false;
	for (remote_addr here = flow->entry; here < flow->end && !flow->failed; here = flow->next) {
		const uint8_t *code = program->text + (here - program->start);
		if (*code == 0xcc) { // padding
			flow->next = here + 1;
			continue;
		}
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&flow->decoder, code, flow->end - here,
			    &flow->instruction, flow->operands))) {
			flow->next = here + 1;
			flow->dead = true;
			continue;
		}
		flow->next = here + flow->instruction.length;
		flow_arrive(flow, here);
		flow_instruction(flow, here);
	}
}

static struct mark mark_get(const struct flow_findings *findings)
{
	return (struct mark){findings->facts.count, findings->stores.count,
		findings->references.count, findings->closures.count, findings->allocations.count,
		findings->allocation_calls};
}

static void mark_return(struct flow_findings *findings, const struct mark *mark)
{
	findings->facts.count = mark->facts;
	findings->stores.count = mark->stores;
	findings->references.count = mark->references;
	findings->closures.count = mark->closures;
	findings->allocations.count = mark->allocations;
	findings->allocation_calls = mark->allocation_calls;
}

// Could the function tell anything? A look at its bytes, without decoding: a call to one of the known functions, or a
// displacement that leads to data.
static bool flow_is_worthwhile(const struct flow *flow)
{
	const struct flow_program *program = flow->program;
	const uint8_t *code = program->text + (flow->entry - program->start);
	uint64_t bytes = flow->end - flow->entry;
	uint64_t data_bytes = program->data_end - program->data_start + 8;

	for (uint64_t i = 1; i + 4 <= bytes; i++) {
		int32_t displacement;
		memcpy(&displacement, code + i, sizeof(displacement));
		remote_addr target = flow->entry + i + 4 + displacement;
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
	struct mark mark = mark_get(findings);

	if (entry < flow->program->start || end > flow->program->end || end <= entry ||
		end - entry > FUNCTION_BYTES_MAX)
		return;
	flow->function = index;
	flow->entry = entry;
	flow->end = end;
	findings->bytes += end - entry;
	if (!flow_is_worthwhile(flow))
		return;
	findings->functions++;
	flow->head_count = 0;
	flow->heads_known = false;
	flow_run(flow);
	if (flow->head_count && !flow->failed) {
		mark_return(findings, &mark);
		flow->heads_known = true;
		flow_run(flow);
	}
	if (flow->failed) {
		mark_return(findings, &mark);
		return;
	}
	if (!flow->returns || flow->returns_differ)
		return;
	FLOW_ADD(flow, return_values, flow->returned);
	if (!hw_map_put(&findings->returns, entry, findings->return_values.count - 1))
		findings->no_memory = true;
}
