// Inside code_use: a function's machine code as the few steps that matter for who looks at which memory.
//
// Unlike typing's steps (typing_decode.h) these tell every access to memory, for what is asked is what code does not do.
#ifndef GORUNTIME_USE_DECODE_H
#define GORUNTIME_USE_DECODE_H

#include "goruntime/typing_decode.h"

enum use_kind {
	USE_MOVE,    // `to` = `from`
	USE_NUMBER,  // `to` = number
	USE_ADD,     // `to` += number
	USE_LOAD,    // `to` = the word at the place
	USE_STORE,   // the place's `size` bytes = `from`; REGISTER_NONE: something unknown
	USE_ADDRESS, // `to` = where the place is, which in the program's data or code is `target`
	USE_TOUCH,   // `size` bytes there are read or written somehow; 0: nobody knows how many
	USE_MIX,     // the registers of `mask` become something made from those of `sources`
	USE_ESCAPE,  // the registers of `sources` go where they cannot be followed
	USE_STACK,   // RSP += number
	USE_CALL,    // of `target`, 0: unknown
	USE_BRANCH,  // to `target`, perhaps
	USE_JUMP,    // to `target`, 0: unknown
	USE_RETURN,
	USE_STOP,   // execution does not go on behind it
	USE_UNKNOWN // an instruction that the rest cannot be understood without
};

struct use_step {
	remote_addr address, target;
	int64_t number; // also the place's offset from `base`
	enum use_kind kind;
	uint32_t size;
	uint16_t mask, sources;
	uint8_t to, from;
	uint8_t base, index; // of the place; base REGISTER_NONE: a global variable or the like
	bool opaque;         // USE_TOUCH: a pointer may be read that is not followed
	bool method;         // USE_CALL: of an interface's method, so that RDX is nothing
};

struct use_steps {
	HW_VECTOR(struct use_step) list; // by address
	bool no_memory;
};

// Does the step give the register a new value? A call is not asked.
bool use_step_writes(const struct use_step *step, uint8_t reg);

// Decodes `size` bytes of amd64 code at address `start`; `steps` is emptied first.
void use_decode(const uint8_t *code, uint64_t size, remote_addr start, struct use_steps *steps);

#endif
