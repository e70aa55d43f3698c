// Instructions to steps. Most instructions only compute: what they write is made from what they read. The few that move
// words, change the flow or count with constants are told apart.
#include "goruntime/use_decode.h"

#include <Zydis/Zydis.h>

struct decoding {
	ZydisDecoder zydis;
	ZydisDecodedInstruction instruction;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct use_steps *steps;
	remote_addr here, next;
};

static void emit(struct decoding *decoding, struct use_step step)
{
	step.address = decoding->here;
	if (!hw_vector_push(&decoding->steps->list, step))
		decoding->steps->no_memory = true;
}

// Number of the general register that `reg` is or is a part of.
static uint8_t register_number(ZydisRegister reg)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15
		       ? whole - ZYDIS_REGISTER_RAX
		       : REGISTER_NONE;
}

static uint8_t register_of(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER ? register_number(operand->reg.value)
							    : REGISTER_NONE;
}

static bool is_number(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

// Memory that is accessed, other than the thread's own.
static bool is_memory(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       operand->mem.type != ZYDIS_MEMOP_TYPE_AGEN &&
	       operand->mem.segment != ZYDIS_REGISTER_FS &&
	       operand->mem.segment != ZYDIS_REGISTER_GS;
}

static struct use_step place_step(enum use_kind kind, const ZydisDecodedOperand *operand)
{
	return (struct use_step){
		.kind = kind,
		.number = operand->mem.disp.value,
		.size = operand->size / 8,
		.to = REGISTER_NONE,
		.from = REGISTER_NONE,
		.base = register_number(operand->mem.base),
		.index = register_number(operand->mem.index),
	};
}

// A local variable gets a new value.
static bool is_overwritten(const ZydisDecodedOperand *operand)
{
	return !(operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) && operand->size &&
	       operand->mem.base == ZYDIS_REGISTER_RSP;
}

// What may be written may keep its value.
static bool keeps_or_reads(const ZydisDecodedOperand *operand)
{
	return operand->actions & (ZYDIS_OPERAND_ACTION_MASK_READ | ZYDIS_OPERAND_ACTION_CONDWRITE);
}

// What any instruction does: touches memory, and makes registers from registers.
static void emit_general(struct decoding *decoding)
{
	const ZydisDecodedInstruction *instruction = &decoding->instruction;
	bool compares = instruction->mnemonic == ZYDIS_MNEMONIC_CMP ||
			instruction->mnemonic == ZYDIS_MNEMONIC_TEST;
	bool repeats = instruction->attributes &
		       (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
	struct use_step mix = {.kind = USE_MIX}, escape = {.kind = USE_ESCAPE};
	bool leaves = false; // for memory, or for registers that are not followed

	for (unsigned i = 0; i < instruction->operand_count; i++) {
		const ZydisDecodedOperand *operand = &decoding->operands[i];
		bool writes = operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
		uint8_t reg = register_of(operand);
		if (is_memory(operand) && is_overwritten(operand)) {
			emit(decoding, place_step(USE_STORE, operand));
			leaves = true;
		} else if (is_memory(operand)) {
			struct use_step touch = place_step(USE_TOUCH, operand);
			touch.opaque = touch.size >= 8 && !compares;
			touch.size = repeats ? 0 : touch.size;
			emit(decoding, touch);
			leaves |= writes;
		} else if (reg != REGISTER_NONE) {
			mix.mask |= writes ? 1 << reg : 0;
			mix.sources |= keeps_or_reads(operand) ? 1 << reg : 0;
		} else if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER && writes) {
			leaves |= ZydisRegisterGetClass(operand->reg.value) != ZYDIS_REGCLASS_FLAGS;
		}
	}
	escape.sources = mix.sources;
	if (leaves && escape.sources)
		emit(decoding, escape);
	if (mix.mask)
		emit(decoding, mix);
}

static void emit_load(struct decoding *decoding)
{
	const ZydisDecodedOperand *to = &decoding->operands[0], *from = &decoding->operands[1];
	struct use_step step = place_step(USE_LOAD, from);

	step.to = register_of(to);
	// A word of a global variable leads to nothing that is followed; half a word is no address.
	if (to->size != 64 || step.to == REGISTER_NONE || step.base == REGISTER_NONE)
		emit_general(decoding);
	else
		emit(decoding, step);
}

static void emit_move(struct decoding *decoding)
{
	const ZydisDecodedOperand *to = &decoding->operands[0], *from = &decoding->operands[1];
	struct use_step step = {.kind = USE_MOVE, .to = register_of(to), .from = register_of(from)};

	if (is_memory(to)) {
		step = place_step(USE_STORE, to);
		step.from = to->size == 64 ? register_of(from) : REGISTER_NONE;
		emit(decoding, step);
	} else if (is_memory(from)) {
		emit_load(decoding);
	} else if (step.to != REGISTER_NONE && is_number(from) && to->size >= 32) {
		step.kind = USE_NUMBER;
		step.number = from->imm.value.s;
		emit(decoding, step);
	} else if (step.to != REGISTER_NONE && step.from != REGISTER_NONE && to->size == 64) {
		emit(decoding, step);
	} else {
		emit_general(decoding);
	}
}

static void emit_address(struct decoding *decoding)
{
	const ZydisDecodedOperand *place = &decoding->operands[1];
	struct use_step step = place_step(USE_ADDRESS, place);

	step.to = register_of(&decoding->operands[0]);
	if (place->mem.base == ZYDIS_REGISTER_RIP)
		step.target = decoding->next + place->mem.disp.value;
	emit(decoding, step);
}

// reg += number, reg -= number.
static void emit_sum(struct decoding *decoding, int sign)
{
	const ZydisDecodedOperand *to = &decoding->operands[0], *from = &decoding->operands[1];
	uint8_t reg = register_of(to);

	if (reg == REGISTER_NONE || to->size != 64 || !is_number(from)) {
		emit_general(decoding);
		return;
	}
	emit(decoding, (struct use_step){.kind = reg == RSP ? USE_STACK : USE_ADD,
			       .to = reg,
			       .number = sign * from->imm.value.s});
}

// push and pop of a register; Go's code has no others.
static void emit_push(struct decoding *decoding, int64_t bytes)
{
	uint8_t reg = register_of(&decoding->operands[0]);

	if (reg == REGISTER_NONE)
		emit(decoding, (struct use_step){.kind = USE_UNKNOWN});
	else if (bytes > 0)
		emit(decoding, (struct use_step){.kind = USE_MIX, .mask = 1 << reg});
	emit(decoding, (struct use_step){.kind = USE_STACK, .number = bytes});
}

bool use_step_writes(const struct use_step *step, uint8_t reg)
{
	switch (step->kind) {
	case USE_MOVE:
	case USE_NUMBER:
	case USE_ADD:
	case USE_LOAD:
	case USE_ADDRESS:
		return step->to == reg;
	case USE_MIX:
		return step->mask >> reg & 1;
	default:
		return false;
	}
}

// Does the register hold a method's code? That is loaded from the itab (internal/abi/iface.go, ITab.Fun), while a closure's
// is the first word of its object.
static bool is_method(const struct use_steps *steps, uint8_t reg)
{
	enum { ITAB_METHODS = 24 };

	for (size_t i = steps->list.count; i > 0 && reg != REGISTER_NONE; i--) {
		const struct use_step *step = &steps->list.items[i - 1];
		if (use_step_writes(step, reg))
			return step->kind == USE_LOAD && step->base != RSP &&
			       step->base != REGISTER_NONE && step->index == REGISTER_NONE &&
			       step->number >= ITAB_METHODS;
		if (step->kind >= USE_CALL && step->kind != USE_BRANCH)
			return false;
	}
	return false;
}

static void emit_flow(struct decoding *decoding, enum use_kind kind)
{
	const ZydisDecodedOperand *first = &decoding->operands[0];
	struct use_step step = {.kind = kind};

	if (is_number(first) && first->imm.is_relative)
		step.target = decoding->next + first->imm.value.s;
	else if (kind != USE_RETURN && is_memory(first) &&
		 register_number(first->mem.base) != REGISTER_NONE)
		emit(decoding, place_step(USE_TOUCH, first));
	else if (kind == USE_CALL)
		step.method = is_method(decoding->steps, register_of(first));
	emit(decoding, step);
}

static bool zeroes_register(const struct decoding *decoding)
{
	const ZydisDecodedOperand *operands = decoding->operands;

	return decoding->instruction.mnemonic == ZYDIS_MNEMONIC_XOR && operands[0].size >= 32 &&
	       register_of(&operands[0]) != REGISTER_NONE &&
	       register_of(&operands[0]) == register_of(&operands[1]);
}

static void decode_one(struct decoding *decoding)
{
	switch (decoding->instruction.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		emit_move(decoding);
		return;
	case ZYDIS_MNEMONIC_LEA:
		emit_address(decoding);
		return;
	case ZYDIS_MNEMONIC_ADD:
		emit_sum(decoding, 1);
		return;
	case ZYDIS_MNEMONIC_SUB:
		emit_sum(decoding, -1);
		return;
	case ZYDIS_MNEMONIC_PUSH:
		emit_push(decoding, -8);
		return;
	case ZYDIS_MNEMONIC_POP:
		emit_push(decoding, 8);
		return;
	case ZYDIS_MNEMONIC_NOP:
		return;
	case ZYDIS_MNEMONIC_CALL:
		emit_flow(decoding, USE_CALL);
		return;
	case ZYDIS_MNEMONIC_RET:
		emit_flow(decoding, USE_RETURN);
		return;
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_INT3:
		emit_flow(decoding, USE_STOP);
		return;
	default:
		break;
	}
	if (decoding->instruction.meta.category == ZYDIS_CATEGORY_COND_BR)
		emit_flow(decoding, USE_BRANCH);
	else if (decoding->instruction.meta.category == ZYDIS_CATEGORY_UNCOND_BR)
		emit_flow(decoding, USE_JUMP);
	else if (zeroes_register(decoding))
		emit(decoding, (struct use_step){.kind = USE_NUMBER,
				       .to = register_of(&decoding->operands[0])});
	else
		emit_general(decoding);
}

void use_decode(const uint8_t *code, uint64_t size, remote_addr start, struct use_steps *steps)
{
	struct decoding decoding = {.steps = steps};

	steps->list.count = 0;
	ZydisDecoderInit(&decoding.zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (uint64_t at = 0; at < size;) {
		decoding.here = start + at;
		if (code[at] == 0xcc) { // padding
			at++;
			continue;
		}
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoding.zydis, code + at, size - at,
			    &decoding.instruction, decoding.operands))) {
			emit(&decoding, (struct use_step){.kind = USE_UNKNOWN});
			return;
		}
		at += decoding.instruction.length;
		decoding.next = start + at;
		decode_one(&decoding);
	}
}
