// See operands.h.
#include "goruntime/operands.h"

#include <Zydis/Zydis.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "debuginfo/pclntab.h"

enum { FUNCTION_BYTES_MAX = 1 << 16 };

static bool is_variable(const struct go_module *module, remote_addr address)
{
	return address >= module->variables && address < module->end;
}

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

// The memory operands of amd64 code.
static size_t operands_amd64(const uint8_t *code, size_t size, remote_addr pc,
	const struct go_module *module, struct operand *out, size_t max)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;
	ZydisDecoder decoder;
	size_t count = 0;

	if (!ZYAN_SUCCESS(
		    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return 0;
	for (size_t at = 0; at < size && count < max; at += instruction.length) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(
			    &decoder, code + at, size - at, &instruction, operands)))
			break;
		if (operand_of(&instruction, operands, pc + at, &out[count]) &&
			is_variable(module, out[count].address))
			count++;
	}
	return count;
}

// The memory operands of arm64 code: ADRP puts the address of a page into a register, and ADD, a load
// or a store adds the rest. Go's assembler keeps the two together (cmd/internal/obj/arm64, asm7.go).
static size_t operands_arm64(const uint8_t *code, size_t size, remote_addr pc,
	const struct go_module *module, struct operand *out, size_t max)
{
	enum { NO_REGISTER = 32 };
	unsigned page_register = NO_REGISTER;
	remote_addr page = 0;
	size_t count = 0;

	for (size_t at = 0; at + 4 <= size && count < max; at += 4) {
		uint32_t word;

		memcpy(&word, code + at, sizeof(word));
		unsigned base = word >> 5 & 31, rest = word >> 10 & 0xfff;
		bool add = (word & 0xff800000) == 0x91000000;
		// Loads and stores with an unsigned offset, of integers; bit 22: load.
		bool memory = (word & 0x3f000000) == 0x39000000 && !(word >> 23 & 1);
		if ((word & 0x9f000000) == 0x90000000) {
			int64_t pages = (int64_t)((uint64_t)(word >> 5 & 0x7ffff) << 45) >> 43 |
					(int64_t)(word >> 29 & 3);

			page = ((pc + at) & ~UINT64_C(4095)) + (uint64_t)pages * 4096;
			page_register = word & 31;
			continue;
		}
		if ((add || memory) && base == page_register) {
			unsigned scale = add ? (word >> 22 & 1 ? 12 : 0) : word >> 30;

			out[count] = (struct operand){
				.address = page + ((remote_addr)rest << scale),
				.load = memory && scale == 3 && word >> 22 & 1,
				.address_taken = add,
			};
			count += is_variable(module, out[count].address);
		}
		page_register = NO_REGISTER;
	}
	return count;
}

size_t function_operands(
	const struct go_runtime *runtime, const char *name, struct operand *out, size_t max)
{
	const struct go_module *module = &runtime->modules[0];
	struct pcln_function function;

	if (!pclntab_find_name(module->pclntab, name, &function) ||
		function.end <= function.entry ||
		function.end - function.entry > FUNCTION_BYTES_MAX)
		return 0;
	size_t size = function.end - function.entry;
	_cleanup_free_ uint8_t *code = malloc(size);
	if (!code || target_read_sparse(runtime->target, function.entry, code, size))
		return 0;
	return runtime->target->arch == ARCH_ARM64
		       ? operands_arm64(code, size, function.entry, module, out, max)
		       : operands_amd64(code, size, function.entry, module, out, max);
}
