// What debug information adds to typing: the types and names of globals and locals, and what
// closures capture.
//
// Where a local lies relative to its frame depends on the program counter alone, so places are
// worked out once for each program counter and used for all frames that stand at it: ten thousand
// goroutines wait at a handful of places. A local is believed only in the words that the collector
// found live (the roots): debug information describes variables that are dead, too, and the words
// of those hold anything.
#include "goruntime/typing_dwarf.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/search.h"
#include "debuginfo/pclntab.h"
#include "goruntime/types_dwarf.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

enum {
	VALUE_BYTES_MAX = 16 << 20, // of a local; Go moves variables above 10 MiB to the heap
	CAPTURES_MAX = 512,
};

// A local variable at one program counter.
struct local {
	const char *name;
	const struct go_type *type;
	bool indirect;
	uint32_t first_piece, piece_count; // in typing_dwarf.pieces
};

// The locals at one program counter: [first, first + count) of typing_dwarf.locals.
struct locals_at {
	uint32_t first, count;
};

struct typing_dwarf {
	struct typing *typing;
	const struct goroutine_list *goroutines;
	struct dwarf *dwarf;
	struct dwarf_types *types;
	struct hw_map by_pc; // pc -> index in places
	HW_VECTOR(struct locals_at) places;
	HW_VECTOR(struct local) locals;
	HW_VECTOR(struct dwarf_piece) pieces; // of those on the stack
	HW_VECTOR(remote_addr) live;          // stack words that are roots, sorted
	HW_VECTOR(struct go_field) captures;  // of the closure that is being read
	uint8_t *value;
	bool no_memory;
};

void typing_dwarf_destroy(struct typing_dwarf *dwarf)
{
	if (!dwarf)
		return;
	dwarf_types_destroy(dwarf->types);
	hw_map_deinit(&dwarf->by_pc);
	hw_vector_deinit(&dwarf->places);
	hw_vector_deinit(&dwarf->locals);
	hw_vector_deinit(&dwarf->pieces);
	hw_vector_deinit(&dwarf->live);
	hw_vector_deinit(&dwarf->captures);
	free(dwarf->value);
	free(dwarf);
}

// --- Globals

static void name_globals(struct typing_dwarf *dwarf)
{
	size_t count;
	const struct dwarf_global *globals = dwarf_globals(dwarf->dwarf, &count);

	for (size_t i = 0; i < count; i++) {
		const struct go_type *type = dwarf_types_get(dwarf->types, globals[i].type);
		struct global_name name = {
			.name = globals[i].name,
			.type = type,
			.start = globals[i].address,
			.size = type ? type->size : 0,
			.exact = true,
		};
		if (type)
			typing_add_global(dwarf->typing, &name);
	}
}

static void claim_globals(struct typing_dwarf *dwarf)
{
	size_t count;
	const struct dwarf_global *globals = dwarf_globals(dwarf->dwarf, &count);

	for (size_t i = 0; i < count; i++)
		typing_claim_memory(dwarf->typing, globals[i].address,
			dwarf_types_get(dwarf->types, globals[i].type), 1);
}

// --- Closures

static bool capture_take(void *context, const struct dwarf_field *told)
{
	struct typing_dwarf *dwarf = context;
	struct go_field field = {
		.name = told->name,
		.type = dwarf_types_get(dwarf->types, told->type),
		.offset = told->offset,
	};

	if (!field.type || dwarf->captures.count == CAPTURES_MAX) {
		dwarf->captures.count = 0; // better none than half of them
		return false;
	}
	dwarf->no_memory |= !hw_vector_push(&dwarf->captures, field);
	return !dwarf->no_memory;
}

static int field_compare(const void *a, const void *b)
{
	const struct go_field *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

// A struct called like the closure's function, of `size` bytes, with these fields.
static const struct go_type *captures_type(struct typing_dwarf *dwarf, const char *name,
	uint64_t size, const struct go_field *from, size_t count)
{
	struct type_table *table = typing_types(dwarf->typing);
	struct go_type *type = type_create(table);
	struct go_field *fields = type_alloc(table, count * sizeof(*fields));

	if (!type || !fields) {
		dwarf->no_memory = true;
		return NULL;
	}
	memcpy(fields, from, count * sizeof(*fields));
	type->name = name;
	type->kind = GO_STRUCT;
	type->size = size;
	type->synthetic = true;
	for (size_t i = 0; i < count; i++) {
		if (fields[i].type->pointer_bytes)
			type->pointer_bytes = fields[i].offset + fields[i].type->pointer_bytes;
	}
	type_set_fields(type, fields, count);
	return type->field_count == count ? type : NULL;
}

// Variables that the function does not use are missing from the debug information, so a gap means that this is not all.
// (What is missing at the end cannot be seen; the collector's pointer bits contradict it when it matters.)
static bool captures_are_complete(const struct typing_dwarf *dwarf)
{
	uint64_t end = 0;

	for (size_t i = 0; i < dwarf->captures.count; i++) {
		const struct go_field *field = &dwarf->captures.items[i];
		if (field->offset < end || field->offset - end >= sizeof(remote_addr))
			return false;
		end = field->offset + field->type->size;
	}
	return true;
}

// The closure object as the debug information alone tells it: its code, then what it captured.
static const struct go_type *captures_told(struct typing_dwarf *dwarf, const char *name)
{
	struct go_field code = {
		.name = "code",
		.type = type_by_name(typing_types(dwarf->typing), "uintptr"),
	};

	if (!code.type || !hw_vector_push(&dwarf->captures, code))
		return NULL;
	qsort(dwarf->captures.items, dwarf->captures.count, sizeof(dwarf->captures.items[0]),
		field_compare);
	if (!captures_are_complete(dwarf))
		return NULL;
	const struct go_field *last = &dwarf->captures.items[dwarf->captures.count - 1];
	return captures_type(dwarf, name, (last->offset + last->type->size + 7) & ~UINT64_C(7),
		dwarf->captures.items, dwarf->captures.count);
}

// What the code says of the closure is exact, but has no names.
static const struct go_type *captures_named(
	struct typing_dwarf *dwarf, const struct go_type *known, const char *name)
{
	size_t named = dwarf->captures.count;

	for (uint32_t i = 0; i < known->field_count; i++) {
		struct go_field field = known->fields[i];
		for (size_t n = 0; n < named; n++) {
			const struct go_field *told = &dwarf->captures.items[n];
			if (told->offset == field.offset && told->type->size == field.type->size)
				field.name = told->name;
		}
		if (!hw_vector_push(&dwarf->captures, field))
			return NULL;
	}
	return captures_type(dwarf, name, known->size, dwarf->captures.items + named,
		dwarf->captures.count - named);
}

static void claim_captures(struct typing_dwarf *dwarf)
{
	const struct go_runtime *runtime = typing_heap(dwarf->typing)->runtime;
	const struct go_module *module;
	struct pcln_function function;
	size_t count;
	const struct dwarf_function *functions = dwarf_functions(dwarf->dwarf, &count);

	for (size_t i = 0; i < count && !dwarf->no_memory; i++) {
		dwarf->captures.count = 0;
		dwarf_captures(dwarf->dwarf, functions[i].low, capture_take, dwarf);
		if (!dwarf->captures.count)
			continue;
		// Called as without debug information, where generic functions are "f[...]".
		if (!go_find_function(runtime, functions[i].low, &module, &function))
			continue;
		const struct go_type *known = typing_captures(dwarf->typing, functions[i].low);
		const struct go_type *type = known && known->field_count
						     ? captures_named(dwarf, known, function.name)
						     : captures_told(dwarf, function.name);
		if (type)
			typing_set_captures(dwarf->typing, functions[i].low, type, true);
	}
}

// --- Locals

// How much of a variable lies in the piece of it that is told without a size: all. But Go (1.19 to 1.27) also says so of
// a single word, when of a slice, string or interface that a closure captured only that has been loaded.
static uint64_t unsized_piece(const struct dwarf_variable *variable, const struct go_type *type)
{
	bool by_words =
		type->kind == GO_SLICE || type->kind == GO_STRING || type->kind == GO_INTERFACE;

	return variable->indirect || (variable->moves && by_words) ? sizeof(remote_addr)
								   : type->size;
}

static bool local_take(void *context, const struct dwarf_variable *variable)
{
	struct typing_dwarf *dwarf = context;
	struct local local = {
		.name = variable->name,
		.type = dwarf_types_get(dwarf->types, variable->type),
		.indirect = variable->indirect,
		.first_piece = dwarf->pieces.count,
	};

	if (!local.type || !local.type->size)
		return true;
	for (unsigned i = 0; i < variable->piece_count; i++) {
		struct dwarf_piece piece = variable->pieces[i];
		if (piece.place != PLACE_STACK)
			continue;
		if (!piece.size)
			piece.size = unsized_piece(variable, local.type);
		dwarf->no_memory |= !hw_vector_push(&dwarf->pieces, piece);
	}
	local.piece_count = dwarf->pieces.count - local.first_piece;
	if (local.piece_count)
		dwarf->no_memory |= !hw_vector_push(&dwarf->locals, local);
	return !dwarf->no_memory;
}

// `calls`: the frame waits for a call to return.
static struct locals_at locals_at(struct typing_dwarf *dwarf, remote_addr pc, bool calls)
{
	uint64_t index;

	if (hw_map_get(&dwarf->by_pc, pc, &index))
		return dwarf->places.items[index];
	struct locals_at at = {.first = dwarf->locals.count};
	dwarf_locals(dwarf->dwarf, pc, calls ? pc + 1 : 0, local_take, dwarf);
	at.count = dwarf->locals.count - at.first;
	dwarf->no_memory |= !hw_map_put(&dwarf->by_pc, pc, dwarf->places.count) ||
			    !hw_vector_push(&dwarf->places, at);
	return at;
}

static bool word_is_live(const struct typing_dwarf *dwarf, remote_addr slot)
{
	size_t at = FIRST_WHERE(i, dwarf->live.count, dwarf->live.items[i] >= slot);

	return at < dwarf->live.count && dwarf->live.items[at] == slot;
}

static bool local_has(const struct typing_dwarf *dwarf, const struct local *local, uint64_t offset)
{
	for (uint32_t i = 0; i < local->piece_count; i++) {
		const struct dwarf_piece *piece = &dwarf->pieces.items[local->first_piece + i];
		if (offset >= piece->start && offset - piece->start < piece->size)
			return true;
	}
	return false;
}

// Of a slice whose capacity is not needed any more that is not kept: it was no less than the length.
static void value_complete(struct typing_dwarf *dwarf, const struct local *local)
{
	if (local->type->kind == GO_SLICE && local_has(dwarf, local, 8) &&
		!local_has(dwarf, local, 16))
		memcpy(dwarf->value + 16, dwarf->value + 8, 8);
}

// Reads the parts of the value that the frame holds; the others stay zero, and so do pointer words
// that are not live. False when nothing live is left.
static bool value_read(struct typing_dwarf *dwarf, const struct local *local, remote_addr cfa)
{
	struct type_table *table = typing_types(dwarf->typing);
	struct memory *memory = &typing_heap(dwarf->typing)->runtime->memory;
	const uint64_t *mask = type_mask(table, local->type);
	bool any = false;

	memset(dwarf->value, 0, local->type->size);
	for (uint32_t i = 0; i < local->piece_count; i++) {
		const struct dwarf_piece *piece = &dwarf->pieces.items[local->first_piece + i];
		if (piece->start > local->type->size ||
			piece->size > local->type->size - piece->start)
			continue;
		memory_read(memory, cfa + piece->offset, dwarf->value + piece->start, piece->size);
	}
	for (uint64_t word = 0; mask && word * 8 < local->type->pointer_bytes; word++) {
		remote_addr slot = 0;
		if (!(mask[word / 64] >> (word % 64) & 1))
			continue;
		for (uint32_t i = 0; i < local->piece_count; i++) {
			const struct dwarf_piece *piece =
				&dwarf->pieces.items[local->first_piece + i];
			if (word * 8 >= piece->start && word * 8 - piece->start < piece->size)
				slot = cfa + piece->offset + (word * 8 - piece->start);
		}
		if (slot && word_is_live(dwarf, slot))
			any = true;
		else
			memset(dwarf->value + word * 8, 0, 8);
	}
	value_complete(dwarf, local);
	return any;
}

// Arrays element by element: a long one is one operation in a type's program, which only memory can be followed by.
static void claim_value(
	struct typing_dwarf *dwarf, const struct go_type *type, const uint8_t *bytes)
{
	uint64_t count = 1;

	while (type->kind == GO_ARRAY && type->elem && type->elem->size) {
		count *= type->length;
		type = type->elem;
	}
	for (uint64_t i = 0; i < count; i++)
		typing_claim_value(dwarf->typing, type, bytes + i * type->size);
}

static void claim_local(struct typing_dwarf *dwarf, const struct local *local, remote_addr cfa)
{
	struct memory *memory = &typing_heap(dwarf->typing)->runtime->memory;
	remote_addr place = cfa + dwarf->pieces.items[local->first_piece].offset;

	if (local->indirect) {
		if (word_is_live(dwarf, place))
			typing_claim(dwarf->typing, memory_u64(memory, place), local->type, 1);
	} else if (!local->type->pointer_bytes || local->type->size > VALUE_BYTES_MAX) {
		return;
	} else if (value_read(dwarf, local, cfa)) {
		claim_value(dwarf, local->type, dwarf->value);
	}
}

static int address_compare(const void *a, const void *b)
{
	const remote_addr *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void live_collect(struct typing_dwarf *dwarf, const struct roots *roots)
{
	for (size_t i = 0; i < roots->list.count; i++) {
		const struct root *root = &roots->list.items[i];
		if (root->kind == ROOT_STACK && root->precise && root->slot)
			dwarf->no_memory |= !hw_vector_push(&dwarf->live, root->slot);
	}
	if (dwarf->live.count)
		qsort(dwarf->live.items, dwarf->live.count, sizeof(dwarf->live.items[0]),
			address_compare);
}

// DWARF's canonical frame address: the caller's sp. On arm64 a saved return address lies between it
// and the arguments.
static remote_addr frame_address(const struct typing_dwarf *dwarf, const struct frame *frame)
{
	bool arm = dwarf->goroutines->runtime->target->arch == ARCH_ARM64;

	return arm ? frame->fp - 8 : frame->fp;
}

static void claim_locals(struct typing_dwarf *dwarf)
{
	for (uint32_t i = 0; i < dwarf->goroutines->frame_count && !dwarf->no_memory; i++) {
		const struct frame *frame = &dwarf->goroutines->frames[i];
		if (frame->flags & FRAME_CONSERVATIVE)
			continue;
		struct locals_at at = locals_at(
			dwarf, frame->pc, !(frame->flags & (FRAME_INNERMOST | FRAME_PANICKED)));
		for (uint32_t l = 0; l < at.count; l++)
			claim_local(dwarf, &dwarf->locals.items[at.first + l],
				frame_address(dwarf, frame));
	}
}

// The frame that the stack word `root` is in and the locals there; false when nothing is known of them.
static bool root_locals(const struct typing_dwarf *dwarf, const struct root *root,
	const struct frame **frame, struct locals_at *at)
{
	const struct goroutine_list *goroutines = dwarf->goroutines;
	uint64_t index;

	if (root->kind != ROOT_STACK || !root->slot || root->owner >= goroutines->count)
		return false;
	const struct goroutine *goroutine = &goroutines->goroutines[root->owner];
	if (root->frame >= goroutine->frame_count)
		return false;
	*frame = &goroutines->frames[goroutine->first_frame + root->frame];
	if (!hw_map_get(&dwarf->by_pc, (*frame)->pc, &index))
		return false;
	*at = dwarf->places.items[index];
	return true;
}

// The piece of the local that lies in the stack word at `slot`, or NULL.
static const struct dwarf_piece *local_piece_at(const struct typing_dwarf *dwarf,
	const struct local *local, remote_addr cfa, remote_addr slot)
{
	const struct dwarf_piece *pieces = &dwarf->pieces.items[local->first_piece];

	for (uint32_t i = 0; i < local->piece_count; i++)
		if (slot - (cfa + pieces[i].offset) < pieces[i].size)
			return &pieces[i];
	return NULL;
}

// "rows.ptr", of a variable rows: the compiler's own name for a part, for which it makes variables as well from 1.27 on.
static bool is_part_name(const char *name)
{
	return strchr(name, '.');
}

bool typing_dwarf_local(
	const struct typing_dwarf *dwarf, const struct root *root, const char **name)
{
	const struct frame *frame;
	struct locals_at at;
	const char *found = NULL;

	if (!root_locals(dwarf, root, &frame, &at))
		return false;
	for (uint32_t l = 0; l < at.count && (!found || is_part_name(found)); l++) {
		const struct local *local = &dwarf->locals.items[at.first + l];
		if (local_piece_at(dwarf, local, frame_address(dwarf, frame), root->slot))
			found = local->name;
	}
	if (found)
		*name = found;
	return found;
}

// Reads the word at `offset` of the local's value. False when the frame does not hold it.
static bool local_word(struct typing_dwarf *dwarf, const struct local *local, remote_addr cfa,
	uint64_t offset, uint64_t *word)
{
	struct memory *memory = &typing_heap(dwarf->typing)->runtime->memory;

	for (uint32_t i = 0; i < local->piece_count; i++) {
		const struct dwarf_piece *piece = &dwarf->pieces.items[local->first_piece + i];
		if (offset >= piece->start && piece->size >= sizeof(*word) &&
			offset - piece->start <= piece->size - sizeof(*word))
			return memory_read(memory, cfa + piece->offset + (offset - piece->start),
				word, sizeof(*word));
	}
	return false;
}

static void part_read(struct typing_dwarf *dwarf, const struct local *local, remote_addr cfa,
	uint64_t offset, struct local_part *out)
{
	*out = (struct local_part){.type = local->type, .offset = offset};
	while (out->known < ARRAY_COUNT(out->words) &&
		local_word(dwarf, local, cfa, offset + 8 * out->known, &out->words[out->known]))
		out->known++;
}

// Is the local named `part` ("rows.ptr") a part of one that also lies at `slot`?
static bool has_whole(const struct typing_dwarf *dwarf, const struct locals_at *at, remote_addr cfa,
	remote_addr slot, const char *part)
{
	size_t length = strcspn(part, ".");

	for (uint32_t l = 0; l < at->count; l++) {
		const struct local *local = &dwarf->locals.items[at->first + l];
		if (strlen(local->name) == length && !strncmp(local->name, part, length) &&
			local_piece_at(dwarf, local, cfa, slot))
			return true;
	}
	return false;
}

size_t typing_dwarf_parts(
	struct typing_dwarf *dwarf, const struct root *root, struct local_part *out, size_t max)
{
	const struct frame *frame;
	struct locals_at at;
	size_t count = 0;

	if (!root_locals(dwarf, root, &frame, &at) || frame->flags & FRAME_CONSERVATIVE)
		return 0;
	remote_addr cfa = frame_address(dwarf, frame);
	for (uint32_t l = 0; l < at.count; l++) {
		const struct local *local = &dwarf->locals.items[at.first + l];
		const struct dwarf_piece *piece = local_piece_at(dwarf, local, cfa, root->slot);
		if (!piece || (is_part_name(local->name) &&
				      has_whole(dwarf, &at, cfa, root->slot, local->name)))
			continue;
		if (local->indirect || count == max)
			return 0;
		part_read(dwarf, local, cfa, piece->start + (root->slot - (cfa + piece->offset)),
			&out[count++]);
	}
	return count;
}

static struct error *dwarf_read(struct typing_dwarf *dwarf)
{
	const struct go_runtime *runtime = typing_heap(dwarf->typing)->runtime;
	struct error *err = executable_dwarf(runtime->executable, &dwarf->dwarf);

	if (!err)
		err = dwarf_types_create(
			typing_types(dwarf->typing), runtime, dwarf->dwarf, &dwarf->types);
	if (err)
		return err;
	dwarf->value = malloc(VALUE_BYTES_MAX);
	if (!dwarf->value)
		return error_no_memory();
	name_globals(dwarf);
	return NULL;
}

struct error *typing_dwarf_open(
	struct typing *typing, const struct goroutine_list *goroutines, struct typing_dwarf **out)
{
	struct typing_dwarf *dwarf = calloc(1, sizeof(*dwarf));

	if (!dwarf)
		return error_no_memory();
	dwarf->typing = typing;
	dwarf->goroutines = goroutines;
	hw_map_init(&dwarf->by_pc);
	struct error *err = dwarf_read(dwarf);
	if (err) {
		typing_dwarf_destroy(dwarf);
		return error_wrap(err, "types by debug information");
	}
	*out = dwarf;
	return NULL;
}

struct error *typing_dwarf_claim(struct typing_dwarf *dwarf, const struct roots *roots)
{
	live_collect(dwarf, roots);
	claim_globals(dwarf);
	claim_captures(dwarf);
	claim_locals(dwarf);
	return dwarf->no_memory ? error_no_memory() : NULL;
}
