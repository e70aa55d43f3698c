#include "goruntime/stack_map.h"

#include <string.h>

void frame_maps_init(struct frame_maps *maps, struct go_runtime *runtime)
{
	memset(maps, 0, sizeof(*maps));
	maps->runtime = runtime;
	hw_map_init(&maps->index);
}

void frame_maps_deinit(struct frame_maps *maps)
{
	hw_map_deinit(&maps->index);
	hw_vector_deinit(&maps->maps);
}

// The pc whose maps say what is alive in the frame; 0 when the frame will never go on.
//
// frame.pc is an address inside the call already, as getStackMap wants it. A frame that faulted
// (its callee is sigpanic) goes on, if ever, with its deferreturn call: unwinder.resolveInternal's
// continpc.
static remote_addr frame_target(const struct frame *frame, const struct pcln_function *function)
{
	if (!(frame->flags & FRAME_PANICKED))
		return frame->pc;
	return function->deferreturn ? function->entry + function->deferreturn : 0;
}

// runtime.stackmap: {n, nbit int32, bytedata}: bitmap `index` of n, each of nbit bits in whole
// bytes.
static const uint8_t *bitmap(const struct pclntab *table, remote_addr address, int32_t index,
	uint32_t *bits, bool *missing)
{
	const uint8_t *header = pclntab_funcdata_bytes(table, address, 8);
	const uint8_t *bytes;
	int32_t counts[2];
	uint64_t size;

	*bits = 0;
	*missing = true;
	if (!address || !header)
		return NULL;
	memcpy(counts, header, sizeof(counts));
	if (counts[0] <= 0 || counts[1] < 0)
		return NULL;
	*missing = counts[1] && (index < 0 || index >= counts[0]);
	if (*missing || !counts[1])
		return NULL;
	size = ((uint64_t)counts[1] + 7) / 8;
	bytes = pclntab_funcdata_bytes(table, address + 8 + (uint64_t)index * size, size);
	*missing = !bytes;
	*bits = bytes ? (uint32_t)counts[1] : 0;
	return bytes;
}

// FUNCDATA_StackObjects: a count, then that many records.
const uint8_t *function_stack_objects(
	const struct pclntab *table, const struct pcln_function *function, uint32_t *count)
{
	remote_addr address = pclntab_funcdata(table, function, FUNCDATA_STACK_OBJECTS);
	const uint8_t *header = address ? pclntab_funcdata_bytes(table, address, 8) : NULL;
	uint64_t records = 0;

	*count = 0;
	if (header)
		memcpy(&records, header, sizeof(records));
	if (!records || records > UINT16_MAX * UINT64_C(16))
		return NULL;
	const uint8_t *objects = pclntab_funcdata_bytes(
		table, address + 8, records * sizeof(struct stack_object_record));
	*count = objects ? (uint32_t)records : 0;
	return objects;
}

static void describe(const struct pclntab *table, const struct pcln_function *function,
	remote_addr target, struct frame_map *out)
{
	// "If we're at the function entry point, we want to use the entry map (-1)", and a function
	// that has no index here is taken to be in its prologue: map 0 in both cases.
	int32_t index = target == function->entry
				? -1
				: pclntab_data(table, function, PCDATA_STACK_MAP_INDEX, target);

	if (index == -1)
		index = 0;
	*out = (struct frame_map){
		.kind = (uint8_t)function_kind(function),
		.entry = function->entry,
		.target = target,
		.arg_bytes = function->args > 0 ? function->args : 0,
	};
	if (!target)
		return;
	out->locals = bitmap(table, pclntab_funcdata(table, function, FUNCDATA_LOCALS_POINTER_MAPS),
		index, &out->local_words, &out->locals_missing);
	if (function->args >= 8)
		out->args =
			bitmap(table, pclntab_funcdata(table, function, FUNCDATA_ARGS_POINTER_MAPS),
				index, &out->arg_words, &out->args_missing);
	out->objects = function_stack_objects(table, function, &out->object_count);
}

const struct frame_map *frame_map(struct frame_maps *maps, const struct frame *frame)
{
	static const struct frame_map nothing = {.locals_missing = true};
	const struct pclntab *table = maps->runtime->modules[frame->module].pclntab;
	// Panicked frames are rare, and mean something else by their pc: they have keys of their
	// own.
	uint64_t number, key = frame->flags & FRAME_PANICKED ? ~frame->pc : frame->pc;
	struct pcln_function function;
	struct frame_map map;

	if (hw_map_get(&maps->index, key, &number))
		return &maps->maps.items[number];
	if (!pclntab_function(table, frame->function, &function))
		return &nothing;
	describe(table, &function, frame_target(frame, &function), &map);
	if (!hw_vector_push(&maps->maps, map) ||
		!hw_map_put(&maps->index, key, maps->maps.count - 1))
		return NULL;
	return &maps->maps.items[maps->maps.count - 1];
}

void stack_object_record(const uint8_t *objects, uint32_t index, struct stack_object_record *out)
{
	memcpy(out, objects + (uint64_t)index * sizeof(*out), sizeof(*out));
}
