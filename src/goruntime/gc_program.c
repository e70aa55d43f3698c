// runtime.runGCProg (mbitmap.go, up to 1.23). An instruction is a byte:
//
//	0nnnnnnn  n bits follow, in whole bytes; n == 0 ends the program
//	1nnnnnnn  repeat the previous n bits c times; a number c follows; n == 0: the number n
// stands before it
//
// Numbers are little-endian base-128.
#include "goruntime/gc_program.h"

#include <string.h>

struct machine {
	const uint8_t *at, *end;
	uint8_t *mask;
	uint64_t written, words;
};

static bool read_byte(struct machine *machine, uint8_t *out)
{
	if (machine->at == machine->end)
		return false;
	*out = *machine->at++;
	return true;
}

static bool read_number(struct machine *machine, uint64_t *out)
{
	uint64_t number = 0;
	uint8_t byte;

	for (unsigned shift = 0; shift < 63; shift += 7) {
		if (!read_byte(machine, &byte))
			return false;
		number |= (uint64_t)(byte & 127) << shift;
		if (byte < 128) {
			*out = number;
			return true;
		}
	}
	return false;
}

// Bits beyond the last word are dropped: a literal comes in whole bytes.
static void write_bit(struct machine *machine, bool bit)
{
	if (machine->written < machine->words && bit)
		machine->mask[machine->written / 8] |= (uint8_t)(1 << machine->written % 8);
	machine->written++;
}

static bool run_literal(struct machine *machine, unsigned count)
{
	uint8_t byte = 0;

	for (unsigned i = 0; i < count; i++) {
		if (i % 8 == 0 && !read_byte(machine, &byte))
			return false;
		write_bit(machine, byte >> i % 8 & 1);
	}
	return true;
}

static bool run_repeat(struct machine *machine, uint64_t count)
{
	uint64_t times;

	if (!count && !read_number(machine, &count))
		return false;
	if (!read_number(machine, &times) || !count || count > machine->written)
		return false;
	for (uint64_t left = times; left && machine->written < machine->words; left--) {
		for (uint64_t i = 0; i < count && machine->written < machine->words; i++) {
			uint64_t from = machine->written - count;
			write_bit(machine, machine->mask[from / 8] >> from % 8 & 1);
		}
	}
	return true;
}

bool gc_program_run(const uint8_t *program, uint64_t size, uint8_t *mask, uint64_t words)
{
	struct machine machine = {program, program + size, mask, 0, words};
	uint8_t instruction;

	memset(mask, 0, (words + 7) / 8);
	while (machine.written < words) {
		bool done;

		if (!read_byte(&machine, &instruction))
			return false;
		if (!instruction)
			return true;
		done = instruction & 128 ? run_repeat(&machine, instruction & 127)
					 : run_literal(&machine, instruction);
		if (!done)
			return false;
	}
	return true;
}
