// Instructions to steps. What neither moves a pointer nor changes the flow leaves no step at all.
#include "goruntime/typing_decode.h"

#include <stdlib.h>

#include <Zydis/Zydis.h>

struct decoder {
	ZydisDecoder zydis;
	ZydisDecodedInstruction instruction;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct steps *steps;
	remote_addr here, next;
};

struct decoder *decoder_create(void)
{
	struct decoder *decoder = calloc(1, sizeof(*decoder));

	if (decoder)
		ZydisDecoderInit(&decoder->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return decoder;
}

void decoder_destroy(struct decoder *decoder)
{
	free(decoder);
}

static void emit(struct decoder *decoder, struct step step)
{
	step.address = decoder->here;
	step.next = decoder->next;
	if (!hw_vector_push(&decoder->steps->list, step))
		decoder->steps->no_memory = true;
}

// Number of the general register that `reg` is or is a part of.
static uint8_t register_number(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
		return reg - ZYDIS_REGISTER_RAX;
	if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D)
		return reg - ZYDIS_REGISTER_EAX;
	if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W)
		return reg - ZYDIS_REGISTER_AX;
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15B)
		return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg) -
		       ZYDIS_REGISTER_RAX;
	return REGISTER_NONE;
}

static bool is_memory(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       operand->mem.segment != ZYDIS_REGISTER_FS &&
	       operand->mem.segment != ZYDIS_REGISTER_GS;
}

static bool is_relative(const ZydisDecodedOperand *operand)
{
	return is_memory(operand) && operand->mem.base == ZYDIS_REGISTER_RIP;
}

static bool is_stack(const ZydisDecodedOperand *operand)
{
	return is_memory(operand) && operand->mem.base == ZYDIS_REGISTER_RSP &&
	       operand->mem.index == ZYDIS_REGISTER_NONE;
}

static bool is_register(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       register_number(operand->reg.value) != REGISTER_NONE;
}

// The parts of base + offset + index * size.
static struct step memory_step(
	const struct decoder *decoder, enum step_kind kind, const ZydisDecodedOperand *operand)
{
	return (struct step){
		.kind = kind,
		.target = is_relative(operand) ? decoder->next + operand->mem.disp.value : 0,
		.offset = operand->mem.disp.value,
		.base = register_number(operand->mem.base),
		.indexed = operand->mem.index != ZYDIS_REGISTER_NONE,
		.size = operand->mem.scale,
		.reg = REGISTER_NONE,
	};
}

static enum step_kind place_kind(const ZydisDecodedOperand *operand, enum step_kind global,
	enum step_kind stack, enum step_kind other)
{
	return is_relative(operand) ? global : is_stack(operand) ? stack : other;
}

// Everything that the instruction writes becomes unknown.
static void emit_clobbers(struct decoder *decoder)
{
	struct step step = {.kind = STEP_CLOBBER};

	for (unsigned i = 0; i < decoder->instruction.operand_count; i++) {
		const ZydisDecodedOperand *operand = &decoder->operands[i];
		if (!(operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		if (is_register(operand)) {
			step.mask |= 1 << register_number(operand->reg.value);
		} else if (is_stack(operand)) {
			struct step store = memory_step(decoder, STEP_STORE_STACK, operand);
			store.size = operand->size / 8 < 255 ? operand->size / 8 : 255;
			emit(decoder, store);
		}
	}
	if (step.mask)
		emit(decoder, step);
}

static void emit_store(
	struct decoder *decoder, const ZydisDecodedOperand *to, const ZydisDecodedOperand *from)
{
	struct step step = memory_step(
		decoder, place_kind(to, STEP_STORE_GLOBAL, STEP_STORE_STACK, STEP_STORE), to);

	if (to->size == 64 && is_register(from))
		step.reg = register_number(from->reg.value);
	else if (to->size == 64 && step.kind == STEP_STORE_STACK &&
		 from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !from->imm.value.u)
		step.kind = STEP_ZERO_STACK;
	if (step.kind == STEP_STORE_STACK)
		step.size = to->size / 8;
	else if (step.reg == REGISTER_NONE && step.kind != STEP_ZERO_STACK)
		return;
	emit(decoder, step);
}

static void emit_move(struct decoder *decoder)
{
	const ZydisDecodedOperand *to = &decoder->operands[0], *from = &decoder->operands[1];
	struct step step = {.kind = STEP_MOVE};

	if (is_memory(to)) {
		emit_store(decoder, to, from);
		return;
	}
	if (is_register(to) && from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !from->imm.value.u &&
		to->size >= 32) {
		step.kind = STEP_ZERO;
	} else if (!is_register(to) || to->size != 64) {
		emit_clobbers(decoder);
		return;
	} else if (is_register(from)) {
		step.base = register_number(from->reg.value);
	} else if (is_memory(from)) {
		step = memory_step(decoder,
			place_kind(from, STEP_LOAD_GLOBAL, STEP_LOAD_STACK, STEP_LOAD), from);
	} else {
		emit_clobbers(decoder);
		return;
	}
	step.reg = register_number(to->reg.value);
	emit(decoder, step);
}

static void emit_address(struct decoder *decoder)
{
	const ZydisDecodedOperand *to = &decoder->operands[0], *from = &decoder->operands[1];
	struct step step = memory_step(
		decoder, place_kind(from, STEP_ADDRESS, STEP_STACK_ADDRESS, STEP_OFFSET), from);

	step.reg = register_number(to->reg.value);
	emit(decoder, step);
}

static bool zeroes_register(const struct decoder *decoder)
{
	const ZydisDecodedOperand *operands = decoder->operands;

	return decoder->instruction.mnemonic == ZYDIS_MNEMONIC_XOR && is_register(&operands[0]) &&
	       is_register(&operands[1]) && operands[0].size >= 32 &&
	       operands[0].reg.value == operands[1].reg.value;
}

static void emit_flow(struct decoder *decoder, enum step_kind kind)
{
	const ZydisDecodedOperand *first = &decoder->operands[0];
	struct step step = {.kind = kind};

	if (first->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && first->imm.is_relative)
		step.target = decoder->next + first->imm.value.s;
	emit(decoder, step);
}

static void note_references(struct decoder *decoder)
{
	for (unsigned i = 0; i < decoder->instruction.operand_count_visible; i++) {
		const ZydisDecodedOperand *operand = &decoder->operands[i];
		if (is_relative(operand) && !hw_vector_push(&decoder->steps->references,
						    decoder->next + operand->mem.disp.value))
			decoder->steps->no_memory = true;
	}
}

static void decode_one(struct decoder *decoder)
{
	note_references(decoder);
	switch (decoder->instruction.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		emit_move(decoder);
		return;
	case ZYDIS_MNEMONIC_LEA:
		emit_address(decoder);
		return;
	case ZYDIS_MNEMONIC_CALL:
		emit_flow(decoder, STEP_CALL);
		return;
	case ZYDIS_MNEMONIC_RET:
		emit_flow(decoder, STEP_RETURN);
		return;
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_INT3:
		emit_flow(decoder, STEP_STOP);
		return;
	default:
		break;
	}
	if (decoder->instruction.meta.category == ZYDIS_CATEGORY_COND_BR)
		emit_flow(decoder, STEP_BRANCH);
	else if (decoder->instruction.meta.category == ZYDIS_CATEGORY_UNCOND_BR)
		emit_flow(decoder, STEP_JUMP);
	else if (zeroes_register(decoder))
		emit(decoder, (struct step){.kind = STEP_ZERO,
				      .reg = register_number(decoder->operands[0].reg.value)});
	else
		emit_clobbers(decoder);
}

void decoder_run(struct decoder *decoder, const uint8_t *code, uint64_t size, remote_addr start,
	struct steps *steps)
{
	steps->list.count = steps->references.count = 0;
	decoder->steps = steps;
	for (uint64_t at = 0; at < size;) {
		decoder->here = start + at;
		if (code[at] == 0xcc) { // padding
			at++;
			continue;
		}
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder->zydis, code + at, size - at,
			    &decoder->instruction, decoder->operands))) {
			decoder->next = start + ++at;
			emit(decoder, (struct step){.kind = STEP_STOP});
			continue;
		}
		at += decoder->instruction.length;
		decoder->next = start + at;
		decode_one(decoder);
	}
}
