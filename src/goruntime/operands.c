// See operands.h.
#include "goruntime/operands.h"

#include <Zydis/Zydis.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "debuginfo/pclntab.h"

enum { FUNCTION_BYTES_MAX = 1 << 16 };

static bool operand_of(const ZydisDecodedInstruction *instruction,
	const ZydisDecodedOperand *operands, remote_addr pc, struct operand *out)
{
	for (unsigned i = 0; i < instruction->operand_count_visible; i++) {
		const ZydisDecodedOperand *operand = &operands[i];
		ZyanU64 address;

		if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY ||
			operand->mem.base != ZYDIS_REGISTER_RIP ||
			!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(instruction, operand, pc, &address)))
			continue;
		*out = (struct operand){
			.address = address,
			.load = instruction->mnemonic == ZYDIS_MNEMONIC_MOV && i == 1 &&
				operand->size == 64,
			.address_taken = instruction->mnemonic == ZYDIS_MNEMONIC_LEA,
		};
		return true;
	}
	return false;
}

size_t function_operands(
	const struct go_runtime *runtime, const char *name, struct operand *out, size_t max)
{
	const struct go_module *module = &runtime->modules[0];
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;
	struct pcln_function function;
	ZydisDecoder decoder;
	size_t count = 0;

	if (!pclntab_find_name(module->pclntab, name, &function) ||
		function.end <= function.entry ||
		function.end - function.entry > FUNCTION_BYTES_MAX)
		return 0;
	size_t size = function.end - function.entry;
	_cleanup_free_ uint8_t *code = malloc(size);
	if (!code || target_read_sparse(runtime->target, function.entry, code, size) ||
		!ZYAN_SUCCESS(ZydisDecoderInit(
			&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return 0;
	for (size_t at = 0; at < size && count < max; at += instruction.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(
			    &decoder, code + at, size - at, &instruction, operands)))
			break;
		struct operand *operand = &out[count];
		if (operand_of(&instruction, operands, function.entry + at, operand) &&
			operand->address >= module->noptrdata && operand->address < module->end)
			count++;
	}
	return count;
}
