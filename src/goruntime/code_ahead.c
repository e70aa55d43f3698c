// See code_ahead.h. The function's code is followed from where it stands, along all branches, each instruction once.
#include "goruntime/code_ahead.h"

#include <Zydis/Zydis.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum { FUNCTION_BYTES_MAX = 1 << 16 };

struct walk {
	const struct go_runtime *runtime;
	remote_addr entry;
	uint64_t size, start; // start: offset of the place
	const uint8_t *code;
	uint8_t *met; // by offset: an instruction that has been followed begins there
	HW_VECTOR(uint64_t) branches; // offsets, to be followed
	struct code_ahead *out;
	ZydisDecoder decoder;
	ZydisDecodedInstruction instruction;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	bool failed;
};

void code_ahead_deinit(struct code_ahead *ahead)
{
	hw_vector_deinit(&ahead->operands);
	hw_vector_deinit(&ahead->calls);
}

bool code_never_returns(const char *name)
{
	static const char *const beginnings[] = {"runtime.panic", "runtime.gopanic",
		"runtime.goPanic", "runtime.morestack", "runtime.throw", "runtime.fatal"};

	for (size_t i = 0; i < ARRAY_COUNT(beginnings); i++)
		if (!strncmp(name, beginnings[i], strlen(beginnings[i])))
			return true;
	return false;
}

static void note_operands(struct walk *walk, uint64_t at)
{
	const struct go_module *module = &walk->runtime->modules[0];

	for (unsigned i = 0; i < walk->instruction.operand_count_visible; i++) {
		const ZydisDecodedOperand *operand = &walk->operands[i];
		ZyanU64 address;
		if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY &&
			operand->mem.base == ZYDIS_REGISTER_RIP &&
			ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(
				&walk->instruction, operand, walk->entry + at, &address)) &&
			address >= module->variables && address < module->end &&
			!hw_vector_push(&walk->out->operands, address))
			walk->failed = true;
	}
}

// Where a jump or call leads. False: that is not known before.
static bool direct_target(const struct walk *walk, uint64_t at, remote_addr *target)
{
	ZyanU64 address;

	if (walk->operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
		!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(
			&walk->instruction, &walk->operands[0], walk->entry + at, &address)))
		return false;
	*target = address;
	return true;
}

// Does execution go on behind the call?
static bool follow_call(struct walk *walk, uint64_t at)
{
	const struct pclntab *table = walk->runtime->modules[0].pclntab;
	struct pcln_function function;
	remote_addr target;

	if (!direct_target(walk, at, &target))
		return true;
	if (!hw_vector_push(&walk->out->calls, target))
		walk->failed = true;
	return !pclntab_find(table, target, &function) || !code_never_returns(function.name);
}

static void follow_jump(struct walk *walk, uint64_t at)
{
	remote_addr target;

	if (!direct_target(walk, at, &target)) { // a jump table, or a call in a wrapper's place
		walk->failed = true;
	} else if (target - walk->entry < walk->size) {
		if (!hw_vector_push(&walk->branches, target - walk->entry))
			walk->failed = true;
	} else if (!hw_vector_push(&walk->out->calls, target)) {
		walk->failed = true;
	}
}

// Follows the instruction at `at`. Returns whether the one behind it comes next.
static bool follow(struct walk *walk, uint64_t at)
{
	note_operands(walk, at);
	switch (walk->instruction.meta.category) {
	case ZYDIS_CATEGORY_CALL:
		return follow_call(walk, at);
	case ZYDIS_CATEGORY_COND_BR:
		follow_jump(walk, at);
		return true;
	case ZYDIS_CATEGORY_UNCOND_BR:
		follow_jump(walk, at);
		return false;
	case ZYDIS_CATEGORY_RET:
		return false;
	default:
		return walk->instruction.mnemonic != ZYDIS_MNEMONIC_UD2 &&
		       walk->instruction.mnemonic != ZYDIS_MNEMONIC_INT3;
	}
}

static void walk_from(struct walk *walk, uint64_t at)
{
	while (at < walk->size && !walk->met[at] && !walk->failed) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&walk->decoder, walk->code + at,
			    walk->size - at, &walk->instruction, walk->operands))) {
			walk->failed = true;
			return;
		}
		uint64_t next = at + walk->instruction.length;
		walk->met[at] = 1;
		walk->out->again |= next == walk->start &&
				    walk->instruction.meta.category == ZYDIS_CATEGORY_CALL;
		if (!follow(walk, at))
			return;
		at = next;
	}
}

bool code_ahead_find(const struct go_runtime *runtime, const struct pcln_function *function,
	const struct frame *frame, struct code_ahead *out)
{
	bool calls = !(frame->flags & (FRAME_INNERMOST | FRAME_PANICKED));
	struct walk walk = {
		.runtime = runtime,
		.entry = function->entry,
		.size = function->end - function->entry,
		.start = frame->pc + calls - function->entry,
		.out = out,
	};

	if (runtime->target->arch != ARCH_AMD64 || function->end <= function->entry ||
		walk.size > FUNCTION_BYTES_MAX || walk.start >= walk.size ||
		!ZYAN_SUCCESS(ZydisDecoderInit(
			&walk.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return false;
	_cleanup_free_ uint8_t *code = malloc(walk.size), *met = calloc(walk.size, 1);
	if (!code || !met || target_read_sparse(runtime->target, walk.entry, code, walk.size))
		return false;
	walk.code = code;
	walk.met = met;
	walk_from(&walk, walk.start);
	// There it goes on when a panic in a function that it calls is recovered from.
	walk_from(&walk, function->deferreturn ? function->deferreturn : walk.size);
	while (walk.branches.count && !walk.failed)
		walk_from(&walk, walk.branches.items[--walk.branches.count]);
	hw_vector_deinit(&walk.branches);
	return !walk.failed;
}
