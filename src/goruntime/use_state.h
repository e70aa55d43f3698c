// Inside code_use: what registers and stack slots may hold, and which memory is looked at.
#ifndef GORUNTIME_USE_STATE_H
#define GORUNTIME_USE_STATE_H

#include "goruntime/code_use.h"
#include "goruntime/typing_decode.h"

// What a register holds: one of the nodes' addresses plus `number`, or, without nodes, just that number. Not exact: the
// number is not known.
struct use_value {
	uint64_t nodes; // a bit for each
	int64_t number;
	bool exact;
};

struct use_slot {
	int64_t place; // from RSP on entry
	struct use_value value;
};

struct use_state {
	bool live;
	int64_t stack; // RSP, from what it was on entry
	struct use_value registers[REGISTERS];
	unsigned slot_count;
	struct use_slot slots[USE_SLOTS_MAX];
};

static const struct use_value use_nothing;

// The registers of arguments and results, in order.
extern const uint8_t use_argument_registers[USE_RESULTS_MAX];

static inline int64_t use_sum(int64_t one, int64_t other)
{
	return (int64_t)((uint64_t)one + (uint64_t)other);
}

static inline bool use_value_is_constant(const struct use_value *value)
{
	return !value->nodes && value->exact;
}

const struct use_slot *use_state_slot(const struct use_state *state, int64_t place);

// `into` becomes what either may be. True when that changes it. *lost: there are too many slots to go on.
bool use_state_join(struct use_state *into, const struct use_state *from, bool *lost);

// Of the memory that `value` points to, `offset` behind, something is looked at: `window`, whose own offset is set here. A
// count of 0: nobody knows how much.
void use_value_see(struct code_use *use, const struct use_value *value, int64_t offset,
	struct use_window window);

// Memory behind it may be looked at by anybody, all of it.
void use_value_escape(struct code_use *use, const struct use_value *value);

// The word at `offset` of what `from` points to.
struct use_value use_value_load(struct code_use *use, const struct use_value *from, int64_t offset);

// What is in an argument's or a result's register goes to somebody unknown.
void use_argument_escape(struct code_use *use, const struct use_state *state, unsigned argument);

#endif
