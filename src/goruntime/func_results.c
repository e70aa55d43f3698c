// What func types tell of their results.
#include "goruntime/code_use.h"

// Registers that a result of this type takes; more than there are: nobody counted.
static unsigned result_registers(const struct go_type *type)
{
	if (!type || type->kind == GO_INVALID || type->kind == GO_STRUCT ||
		type->kind == GO_ARRAY || type->size > USE_RESULTS_MAX * sizeof(uint64_t))
		return USE_RESULTS_MAX;
	return (unsigned)(type->size + 7) / 8;
}

// abi.FuncType (internal/abi/type.go, before 1.21 runtime/type.go; the same from 1.19 to 1.27): behind the abi.Type two
// counts, perhaps an abi.UncommonType, and the types of the parameters and of the results.
unsigned func_result_registers(
	struct type_table *types, struct memory *memory, const struct go_type *func)
{
	enum {
		FLAGS = 20,
		PARAMETERS = 48,
		RESULTS = 50,
		TYPES = 56,
		UNCOMMON = 1,
		UNCOMMON_BYTES = 16,
		VARIADIC = 0x8000
	};
	remote_addr at = func->runtime_type;
	unsigned registers = 0;

	if (func->kind != GO_FUNC || !at)
		return USE_RESULTS_MAX;
	unsigned results = memory_u16(memory, at + RESULTS) & (VARIADIC - 1);
	at += TYPES + (memory_u8(memory, at + FLAGS) & UNCOMMON ? UNCOMMON_BYTES : 0) +
	      8 * (remote_addr)memory_u16(memory, at + PARAMETERS);
	for (unsigned i = 0; i < results && registers < USE_RESULTS_MAX; i++)
		registers += result_registers(
			type_by_address(types, memory_u64(memory, at + 8 * (remote_addr)i)));
	return registers < USE_RESULTS_MAX ? registers : USE_RESULTS_MAX;
}
