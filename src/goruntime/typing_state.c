// Values and states. See typing_state.h.
#include "goruntime/typing_state.h"

#include <string.h>

const struct flow_value flow_nothing;

bool value_equal(const struct flow_value *a, const struct flow_value *b)
{
	return a->kind == b->kind && a->what == b->what && a->maker == b->maker;
}

bool value_is_typed(const struct flow_value *value)
{
	return value->kind == VALUE_POINTER || value->kind == VALUE_ARRAY ||
	       value->kind == VALUE_TYPED;
}

// What is true of both. A nil agrees with any pointer; pointers to one type from different places lose their maker.
static struct flow_value value_meet(struct flow_value a, struct flow_value b)
{
	if (value_equal(&a, &b))
		return a;
	if (a.kind == VALUE_NIL && (value_is_typed(&b) || b.kind == VALUE_RESULT))
		return b;
	if (b.kind == VALUE_NIL && (value_is_typed(&a) || a.kind == VALUE_RESULT))
		return a;
	if (a.kind == b.kind && a.what == b.what && value_is_typed(&a)) {
		a.maker = 0;
		return a;
	}
	return flow_nothing;
}

void state_clear(struct state *state)
{
	memset(state->registers, 0, sizeof(state->registers));
	state->slot_count = 0;
}

void state_copy(struct state *to, const struct state *from)
{
	memcpy(to->registers, from->registers, sizeof(to->registers));
	memcpy(to->slots, from->slots, from->slot_count * sizeof(to->slots[0]));
	to->slot_count = from->slot_count;
}

struct flow_value state_slot(const struct state *state, int64_t offset)
{
	for (unsigned i = 0; i < state->slot_count; i++)
		if (state->slots[i].offset == offset)
			return state->slots[i].value;
	return flow_nothing;
}

void state_forget(struct state *state, int64_t offset, int64_t bytes)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < state->slot_count; i++)
		if (state->slots[i].offset + 8 <= offset ||
			state->slots[i].offset >= offset + bytes)
			state->slots[kept++] = state->slots[i];
	state->slot_count = kept;
}

// Which slot to give up for a new one: one without a type if there is any, else the one that was not used for longest.
static unsigned state_victim(const struct state *state)
{
	for (unsigned i = 0; i < state->slot_count; i++)
		if (!value_is_typed(&state->slots[i].value))
			return i;
	return 0;
}

void state_store(struct state *state, int64_t offset, struct flow_value value)
{
	state_forget(state, offset, 8);
	if (value.kind == VALUE_NONE)
		return;
	if (state->slot_count == FLOW_SLOTS_MAX) {
		unsigned victim = state_victim(state);
		state->slot_count--;
		memmove(&state->slots[victim], &state->slots[victim + 1],
			(state->slot_count - victim) * sizeof(state->slots[0]));
	}
	state->slots[state->slot_count++] = (struct flow_slot){offset, value};
}

bool state_meet(struct state *state, const struct state *other)
{
	unsigned kept = 0;
	bool changed = false;

	for (unsigned i = 0; i < REGISTERS; i++) {
		struct flow_value met = value_meet(state->registers[i], other->registers[i]);
		changed |= !value_equal(&met, &state->registers[i]);
		state->registers[i] = met;
	}
	for (unsigned i = 0; i < state->slot_count; i++) {
		struct flow_slot slot = state->slots[i];
		struct flow_value met = value_meet(slot.value, state_slot(other, slot.offset));
		changed |= !value_equal(&met, &slot.value);
		slot.value = met;
		if (met.kind != VALUE_NONE)
			state->slots[kept++] = slot;
	}
	state->slot_count = kept;
	return changed;
}

void state_retag(struct state *state, struct flow_value old, struct flow_value new)
{
	for (unsigned i = 0; i < REGISTERS; i++)
		if (value_equal(&state->registers[i], &old))
			state->registers[i] = new;
	for (unsigned i = 0; i < state->slot_count; i++)
		if (value_equal(&state->slots[i].value, &old))
			state->slots[i].value = new;
}
