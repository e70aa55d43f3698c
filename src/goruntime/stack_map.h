// What Go's compiler says about the frames of a function: which words are pointers, which variables
// have their address taken (stack objects). runtime.stkframe.getStackMap (stkframe.go; stack.go up
// to 1.20), remembered for each pc.
#ifndef GORUNTIME_STACK_MAP_H
#define GORUNTIME_STACK_MAP_H

#include "goruntime/unwind.h"

struct frame_map {
	const uint8_t *locals; // a bit a word, `local_words` of them ending at frame_locals_end();
			       // NULL when none
	const uint8_t *args;   // the same for the arguments, starting at frame.fp
	uint32_t local_words, arg_words;
	const uint8_t *objects; // stack_object_record, one after the other
	uint32_t object_count;
	uint8_t kind;        // enum function_kind
	bool locals_missing; // there should be a map if the frame has room for locals
	bool args_missing;   // there should be a map
	int32_t arg_bytes;   // of the arguments; 0 when described elsewhere (reflection) or unknown
	remote_addr entry;
	remote_addr target; // the pc that the maps are for; 0: the frame will never go on
};

// runtime.stackObjectRecord (stack.go), the same in go 1.19 to 1.27.
struct stack_object_record {
	int32_t offset; // from the end of the locals if negative, else from the arguments
	int32_t size;
	int32_t pointer_bytes; // negative: `mask` is a GC program (up to 1.23)
	uint32_t mask;         // offset from moduledata.rodata
};

struct frame_maps {
	struct go_runtime *runtime;
	struct hw_map index; // pc -> number in maps
	HW_VECTOR(struct frame_map) maps;
};

void frame_maps_init(struct frame_maps *maps, struct go_runtime *runtime);
void frame_maps_deinit(struct frame_maps *maps);

// The maps of `frame`, good until the next call. NULL when memory runs out.
const struct frame_map *frame_map(struct frame_maps *maps, const struct frame *frame);

// The variables of a function that hold pointers and whose address is taken, one record after the other; NULL: none.
const uint8_t *function_stack_objects(
	const struct pclntab *table, const struct pcln_function *function, uint32_t *count);

void stack_object_record(const uint8_t *objects, uint32_t index, struct stack_object_record *out);

#endif
