// Local variables: which there are at a program counter, and where each one lies.
//
// Go's location expressions are few: DW_OP_fbreg or DW_OP_call_frame_cfa with an offset, a
// register, and pieces of those; the frame base of every Go function is the CFA. Anything else has
// no place here. A place is given relative to the CFA, so that what was found for a program counter
// serves all frames that stand at it.
#include "debuginfo/dwarf_private.h"

#include <string.h>

enum {
	NESTING_MAX = 64,    // of lexical blocks and inlined calls
	OPERATIONS_MAX = 64, // in one expression
	VISITED_MAX = 65536, // entries of one function; the largest of cmd/compile has some 20,000
};

struct operations {
	size_t count;
	Dwarf_Op list[OPERATIONS_MAX];
};

struct cursor {
	const uint8_t *next, *end;
};

static uint64_t uleb_take(struct cursor *cursor)
{
	uint64_t value = 0;

	for (unsigned shift = 0; cursor->next < cursor->end; shift += 7) {
		uint8_t byte = *cursor->next++;
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	return value;
}

static int64_t sleb_take(struct cursor *cursor)
{
	uint64_t value = 0;
	unsigned shift = 0;

	while (cursor->next < cursor->end) {
		uint8_t byte = *cursor->next++;
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (byte & 0x40 && shift < 64)
			value |= ~UINT64_C(0) << shift;
		break;
	}
	return (int64_t)value;
}

// Decodes the expressions that Go writes as blocks; libdw decodes those of location lists. False:
// an operation that Go does not use.
static bool block_decode(const Dwarf_Block *block, struct operations *out)
{
	struct cursor cursor = {block->data, block->data + block->length};

	out->count = 0;
	while (cursor.next < cursor.end) {
		if (out->count == OPERATIONS_MAX)
			return false;
		Dwarf_Op *op = &out->list[out->count++];
		*op = (Dwarf_Op){.atom = *cursor.next++};
		switch (op->atom) {
		case DW_OP_fbreg:
		case DW_OP_consts:
			op->number = (Dwarf_Word)sleb_take(&cursor);
			break;
		case DW_OP_plus_uconst:
		case DW_OP_piece:
		case DW_OP_regx:
			op->number = uleb_take(&cursor);
			break;
		case DW_OP_call_frame_cfa:
		case DW_OP_plus:
		case DW_OP_deref:
			break;
		default:
			if (op->atom < DW_OP_reg0 || op->atom > DW_OP_reg31)
				return false;
		}
	}
	return true;
}

// The variable's location expression at `pc` (an address of the file). False when it has none
// there. *moves: there is a list of them.
static bool location_at(Dwarf_Die *variable, Dwarf_Addr pc, struct operations *out, bool *moves)
{
	Dwarf_Attribute location;
	Dwarf_Block block;
	Dwarf_Op *list;
	size_t count;

	if (!dwarf_attr_integrate(variable, DW_AT_location, &location))
		return false;
	*moves = false;
	if (dwarf_formblock(&location, &block) == 0)
		return block_decode(&block, out) && out->count > 0;
	*moves = true;
	if (dwarf_getlocation_addr(&location, pc, &list, &count, 1) != 1 || count == 0 ||
		count > OPERATIONS_MAX)
		return false;
	memcpy(out->list, list, count * sizeof(*list));
	out->count = count;
	return true;
}

// Evaluates the operations from `*next` up to the next DW_OP_piece or the end.
static void place_take(const struct operations *operations, size_t *next, struct dwarf_piece *piece,
	bool *indirect)
{
	const Dwarf_Op *op = &operations->list[*next];
	size_t left = 0;

	while (*next + left < operations->count && op[left].atom != DW_OP_piece)
		left++;
	*next += left;
	*indirect = false;
	piece->place = PLACE_NONE;
	if (left == 0)
		return;
	if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31 && left == 1) {
		piece->place = PLACE_REGISTER;
		piece->reg = op->atom - DW_OP_reg0;
		return;
	}
	if (op->atom == DW_OP_regx && left == 1) {
		piece->place = PLACE_REGISTER;
		piece->reg = (unsigned)op->number;
		return;
	}
	size_t used = 1;
	if (op->atom == DW_OP_fbreg) {
		piece->offset = (int64_t)op->number;
	} else if (op->atom == DW_OP_call_frame_cfa) {
		piece->offset = 0;
		if (left >= 3 && op[1].atom == DW_OP_consts && op[2].atom == DW_OP_plus) {
			piece->offset = (int64_t)op[1].number;
			used = 3;
		} else if (left >= 2 && op[1].atom == DW_OP_plus_uconst) {
			piece->offset = (int64_t)op[1].number;
			used = 2;
		}
	} else {
		return;
	}
	if (used < left && op[used].atom == DW_OP_deref) {
		*indirect = true;
		used++;
	}
	if (used == left)
		piece->place = PLACE_STACK;
}

// Puts the pieces of the value together. False when no part of it has a place.
static bool pieces_read(const struct operations *operations, struct dwarf_variable *variable)
{
	uint64_t start = 0;
	bool any = false;

	for (size_t next = 0;
		next < operations->count && variable->piece_count < DWARF_PIECES_MAX;) {
		struct dwarf_piece piece = {.start = start};
		bool indirect;
		place_take(operations, &next, &piece, &indirect);
		if (next < operations->count) {
			piece.size = operations->list[next++].number;
			if (piece.size == 0 || piece.size > UINT32_MAX || indirect)
				return false;
			start += piece.size;
		} else if (variable->piece_count != 0) {
			return false; // operations behind the last piece
		}
		variable->indirect = indirect;
		any |= piece.place != PLACE_NONE;
		variable->pieces[variable->piece_count++] = piece;
	}
	return any;
}

// The variable's pieces at `pc`. False when it has no place there.
static bool place_read(Dwarf_Die *entry, Dwarf_Addr pc, struct dwarf_variable *variable)
{
	struct operations operations;

	variable->piece_count = 0;
	variable->indirect = false;
	return location_at(entry, pc, &operations, &variable->moves) &&
	       pieces_read(&operations, variable);
}

static bool is_on_stack(const struct dwarf_variable *variable)
{
	for (unsigned i = 0; i < variable->piece_count; i++) {
		if (variable->pieces[i].place != PLACE_STACK)
			return false;
	}
	return true;
}

static bool variable_read(
	Dwarf_Die *entry, Dwarf_Addr pc, Dwarf_Addr resume, struct dwarf_variable *variable)
{
	struct dwarf_variable saved;

	*variable = (struct dwarf_variable){
		.parameter = dwarf_tag(entry) == DW_TAG_formal_parameter,
		.type = entry_reference(entry, DW_AT_type),
	};
	const char *name = dwarf_diename(entry);
	variable->name = name ? name : "";
	if (!variable->type)
		return false;
	saved = *variable;
	bool found = place_read(entry, pc, variable);
	if (resume && (!found || !is_on_stack(variable)) && place_read(entry, resume, &saved)) {
		*variable = saved;
		found = true;
	}
	return found;
}

static bool is_variable(Dwarf_Die *entry)
{
	int tag = dwarf_tag(entry);

	return tag == DW_TAG_variable || tag == DW_TAG_formal_parameter;
}

static bool is_scope(Dwarf_Die *entry)
{
	int tag = dwarf_tag(entry);

	return tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine;
}

void dwarf_locals(struct dwarf *dwarf, remote_addr pc, remote_addr resume,
	dwarf_variable_visit visit, void *context)
{
	struct dwarf_function function;
	Dwarf_Die stack[NESTING_MAX], scope;
	unsigned depth = 0, visited = 0;
	Dwarf_Addr at = pc - dwarf->bias, back = resume ? resume - dwarf->bias : 0;

	if (!dwarf_function_at(dwarf, pc, &function) || !dwarf_entry(dwarf, function.ref, &scope) ||
		dwarf_child(&scope, &stack[0]) != 0)
		return;
	for (;;) {
		Dwarf_Die *entry = &stack[depth];
		struct dwarf_variable variable;
		if (++visited > VISITED_MAX)
			return;
		if (is_variable(entry)) {
			if (variable_read(entry, at, back, &variable) && !visit(context, &variable))
				return;
		} else if (is_scope(entry) && depth + 1 < NESTING_MAX &&
			   dwarf_haspc(entry, at) > 0 &&
			   dwarf_child(entry, &stack[depth + 1]) == 0) {
			depth++;
			continue;
		}
		while (dwarf_siblingof(&stack[depth], &stack[depth]) != 0) {
			if (depth-- == 0)
				return;
		}
	}
}

void dwarf_captures(struct dwarf *dwarf, remote_addr code, dwarf_field_visit visit, void *context)
{
	struct dwarf_function function;
	Dwarf_Die entry, child;
	unsigned visited = 0;

	if (!dwarf_function_at(dwarf, code, &function) || function.low != code ||
		!dwarf_entry(dwarf, function.ref, &entry) || dwarf_child(&entry, &child) != 0)
		return;
	do {
		struct dwarf_field field = {0};
		if (!is_variable(&child) ||
			!entry_number(&child, DW_AT_go_closure_offset, &field.offset))
			continue;
		const char *name = dwarf_diename(&child);
		field.name = name ? name : "";
		field.type = entry_reference(&child, DW_AT_type);
		if (!visit(context, &field))
			return;
	} while (++visited < VISITED_MAX && dwarf_siblingof(&child, &child) == 0);
}
