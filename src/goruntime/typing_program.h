// What to do with the words of a value of a type: a type's pointers as a flat list of operations.
//
// Following millions of objects must not walk type structures; a program is made once per type and
// run for each value.
#ifndef GORUNTIME_TYPING_PROGRAM_H
#define GORUNTIME_TYPING_PROGRAM_H

#include "goruntime/types.h"

struct typing;

enum operation_code {
	OP_POINTER, // *type
	OP_SLICE,   // [](type)
	OP_STRING,
	OP_INTERFACE,
	OP_SHAPED, // a pointer-shaped value of `type`: map, chan, func
	OP_POOL,   // sync.Pool.local or .victim: a pointer to [size]poolLocal, the size in the next
		   // word
	OP_TYPED_POINTER, // a type word, then a pointer to a value of it or the value itself, as in
			  // interfaces (sync.eface)
	OP_REFLECT,       // reflect.Value
	OP_BYTES,         // a *byte that is the start of bytes, as many as fill the object
	OP_CHAN_VALUE, // a pointer to an element of the channel that the word at `count` points to
	// These need to know where the value lies:
	OP_MEMORY,      // `count` values of `type`, too many to list
	OP_MAP_HEADER,  // the object behind the map `type`
	OP_MAP_TABLE,   // a swiss map's table, of the map `type`
	OP_CHAN_HEADER, // runtime.hchan
	OP_TRIE_NODE,   // sync.node: an entry or an indirect node, by its first byte
	OP_TYPE_RECORD, // abi.Type, the head of a record that reflect made
	OP_CLOSURE,     // word 0 is code, which tells what the object is
};

struct operation {
	uint64_t offset;
	const struct go_type *type;
	uint64_t count;
	enum operation_code code;
};

struct program {
	const struct go_type *type;
	uint32_t length;
	bool in_place; // has operations that need to know where the value lies
	struct operation operations[];
};

// The program of `type`, never NULL: an empty one when the type leads nowhere or memory is out.
const struct program *typing_program(struct typing *typing, const struct go_type *type);

// For synthetic types whose program is one operation at offset 0.
bool typing_set_program(struct typing *typing, const struct go_type *type, enum operation_code code,
	const struct go_type *argument);

#endif
