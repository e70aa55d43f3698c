// Inside typing: a function's machine code as the few steps that matter for following values. Zydis is seen only here.
#ifndef GORUNTIME_TYPING_DECODE_H
#define GORUNTIME_TYPING_DECODE_H

#include "heapwhy/vector.h"
#include "target/target.h"

enum {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R11 = 11,
	R14 = 14,
	REGISTERS = 16,
	REGISTER_NONE = 255
};

enum step_kind {
	STEP_ADDRESS,      // reg = &global at `target`
	STEP_LOAD_GLOBAL,  // reg = word at `target`
	STEP_STORE_GLOBAL, // word at `target` = reg
	STEP_LOAD_STACK,   // reg = word at RSP + offset
	STEP_STORE_STACK, // word at RSP + offset = reg; REGISTER_NONE: something unknown of `size` bytes
	STEP_ZERO_STACK,    // word at RSP + offset = 0
	STEP_STACK_ADDRESS, // reg = RSP + offset: from now on that memory may change unseen
	STEP_LOAD,          // reg = word at base + offset (+ index * size)
	STEP_STORE,         // word at base + offset = reg
	STEP_OFFSET,        // reg = base + offset (+ index * size)
	STEP_MOVE,          // reg = base
	STEP_ZERO,          // reg = 0
	STEP_CALL,          // of `target`, 0: unknown
	STEP_BRANCH,        // to `target`, perhaps
	STEP_JUMP,          // to `target`, 0: unknown
	STEP_RETURN,
	STEP_STOP,    // execution does not go on behind it
	STEP_CLOBBER, // the registers of `mask` are something unknown
};

struct step {
	remote_addr address, next; // of its instruction, and of the one behind
	remote_addr target;
	int64_t offset;
	enum step_kind kind;
	uint16_t mask;
	uint8_t reg, base, size;
	bool indexed;
};

struct steps {
	HW_VECTOR(struct step) list;
	HW_VECTOR(remote_addr) references; // RIP-relative operands, unfiltered
	bool no_memory;
};

struct decoder;
struct decoder *decoder_create(void); // NULL: out of memory
void decoder_destroy(struct decoder *decoder);

// Decodes `size` bytes of code at address `start`; `steps` is emptied first.
void decoder_run(struct decoder *decoder, const uint8_t *code, uint64_t size, remote_addr start,
	struct steps *steps);

#endif
