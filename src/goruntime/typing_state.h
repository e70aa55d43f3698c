// Inside typing: what registers and stack slots hold at one place of a function (typing_flow.h).
#ifndef GORUNTIME_TYPING_STATE_H
#define GORUNTIME_TYPING_STATE_H

#include "goruntime/typing_flow.h"

struct state {
	struct flow_value registers[REGISTERS];
	struct flow_slot slots[FLOW_SLOTS_MAX];
	unsigned slot_count;
};

extern const struct flow_value flow_nothing; // VALUE_NONE

bool value_equal(const struct flow_value *a, const struct flow_value *b);

// A pointer to, an array of, or a value of a known type.
bool value_is_typed(const struct flow_value *value);

void state_clear(struct state *state);
void state_copy(struct state *to, const struct state *from);

// Stack slots, by their offset from RSP. Forgetting drops those that [offset, offset + bytes) overlaps.
struct flow_value state_slot(const struct state *state, int64_t offset);
void state_store(struct state *state, int64_t offset, struct flow_value value);
void state_forget(struct state *state, int64_t offset, int64_t bytes);

// Keeps what both states agree on. True when `state` lost anything by it.
bool state_meet(struct state *state, const struct state *other);

// What an instruction made turns out to be something else; all copies of it change.
void state_retag(struct state *state, struct flow_value old, struct flow_value new);

#endif
