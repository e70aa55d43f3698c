// See use_state.h.
#include "goruntime/use_state.h"

enum { OFFSET_MAX = 1 << 20 };

const uint8_t use_argument_registers[USE_RESULTS_MAX] = {
	RAX, RBX, RCX, RDI, RSI, R8, R8 + 1, R8 + 2, R11};

static bool value_equal(const struct use_value *one, const struct use_value *other)
{
	return one->nodes == other->nodes && one->exact == other->exact &&
	       (!one->exact || one->number == other->number);
}

// True when that changes `into`.
static bool value_join(struct use_value *into, const struct use_value *from)
{
	struct use_value joined = {.nodes = into->nodes | from->nodes};

	if (value_equal(into, from) || value_equal(into, &joined))
		return false;
	*into = joined;
	return true;
}

const struct use_slot *use_state_slot(const struct use_state *state, int64_t place)
{
	for (unsigned i = 0; i < state->slot_count; i++)
		if (state->slots[i].place == place)
			return &state->slots[i];
	return NULL;
}

bool use_state_join(struct use_state *into, const struct use_state *from, bool *lost)
{
	bool changed = false;

	if (!into->live) {
		*into = *from;
		return from->live;
	}
	for (unsigned i = 0; i < REGISTERS; i++)
		changed |= value_join(&into->registers[i], &from->registers[i]);
	for (unsigned i = 0; i < into->slot_count; i++) {
		const struct use_slot *other = use_state_slot(from, into->slots[i].place);
		changed |= value_join(&into->slots[i].value, other ? &other->value : &use_nothing);
	}
	for (unsigned i = 0; i < from->slot_count; i++) {
		const struct use_slot *other = &from->slots[i];
		if (!other->value.nodes || use_state_slot(into, other->place))
			continue;
		if (into->slot_count == USE_SLOTS_MAX) {
			*lost = true;
			return true;
		}
		into->slots[into->slot_count++] =
			(struct use_slot){other->place, {.nodes = other->value.nodes}};
		changed = true;
	}
	return changed;
}

static void nodes_see_whole(struct code_use *use, uint64_t nodes)
{
	for (; nodes; nodes &= nodes - 1)
		use->nodes[__builtin_ctzll(nodes)].whole = true;
}

static bool window_equal(const struct use_window *one, const struct use_window *other)
{
	return one->offset == other->offset && one->count == other->count &&
	       one->elements == other->elements && one->opaque == other->opaque;
}

static void node_see(struct use_node *node, const struct use_window *window)
{
	for (uint32_t i = 0; i < node->window_count; i++)
		if (window_equal(&node->windows[i], window))
			return;
	if (node->window_count == USE_WINDOWS_MAX)
		node->whole = true;
	else
		node->windows[node->window_count++] = *window;
}

void use_value_see(struct code_use *use, const struct use_value *value, int64_t offset,
	struct use_window window)
{
	int64_t start = use_sum(value->number, offset);

	if (!value->exact || !window.count || start < 0 || start > OFFSET_MAX) {
		nodes_see_whole(use, value->nodes);
		return;
	}
	window.offset = (uint32_t)start;
	for (uint64_t nodes = value->nodes; nodes; nodes &= nodes - 1)
		node_see(&use->nodes[__builtin_ctzll(nodes)], &window);
}

// The node that the word at `word` of `parent` leads to; as a set of nodes, empty when the parent is seen whole.
static uint64_t node_below(struct code_use *use, uint32_t parent, uint32_t word)
{
	if (use->nodes[parent].whole)
		return 0;
	for (uint32_t i = use->first; i < use->count; i++)
		if (use->nodes[i].parent == parent && use->nodes[i].word == word)
			return UINT64_C(1) << i;
	if (use->count == USE_NODES_MAX || use->nodes[parent].depth == USE_DEPTH_MAX) {
		use->nodes[parent].whole = true;
		return 0;
	}
	use->nodes[use->count] = (struct use_node){
		.parent = parent, .word = word, .depth = use->nodes[parent].depth + 1};
	return UINT64_C(1) << use->count++;
}

struct use_value use_value_load(struct code_use *use, const struct use_value *from, int64_t offset)
{
	struct use_value value = {.exact = true};

	use_value_see(use, from, offset, (struct use_window){.count = 8});
	if (!from->exact)
		return use_nothing;
	int64_t word = use_sum(from->number, offset);
	for (uint64_t nodes = from->nodes; nodes && word >= 0 && word <= OFFSET_MAX;
		nodes &= nodes - 1)
		value.nodes |= node_below(use, __builtin_ctzll(nodes), (uint32_t)word);
	return value.nodes ? value : use_nothing;
}

void use_value_escape(struct code_use *use, const struct use_value *value)
{
	nodes_see_whole(use, value->nodes);
}

void use_argument_escape(struct code_use *use, const struct use_state *state, unsigned argument)
{
	const struct use_value *value = &state->registers[use_argument_registers[argument]];
	const struct use_value *length =
		argument + 1 < USE_RESULTS_MAX
			? &state->registers[use_argument_registers[argument + 1]]
			: &use_nothing;

	// A slice's or string's pointer is followed by its length.
	if (use_value_is_constant(length) && length->number > 0 && length->number <= OFFSET_MAX)
		use_value_see(use, value, 0,
			(struct use_window){.count = (uint32_t)length->number,
				.elements = true,
				.opaque = true});
	else
		use_value_escape(use, value);
}
