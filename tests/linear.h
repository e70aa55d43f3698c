// Is a container linearizable? Threads do random operations and note when each began and ended and what it returned;
// then an order is searched in which the same operations, one after the other, return the same from a plain model
// (Wing and Gong 1993, with Lowe's memory of the states that led nowhere). Histories are short, rounds are many.
//
//	static const struct linear_subject subject = {
//		.threads = 3, .operations = 6, .choose = choose, .perform = perform, .apply = apply};
//	linear_rounds(&subject, map, 500);      // fails the test, and prints the history, where no order exists
#ifndef TESTS_LINEAR_H
#define TESTS_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINEAR_THREADS = 4, LINEAR_OPERATIONS = 48, LINEAR_WORDS = 32 };

struct linear_operation {
	unsigned kind, thread;
	uint64_t key, argument; // what it is called with
	uint64_t result;        // what it returned; 0 may stand for "nothing"
	uint64_t begin_ns, end_ns;
};

// What the container would hold; all 0 at the beginning of a round.
struct linear_model {
	uint64_t words[LINEAR_WORDS];
};

struct linear_subject {
	unsigned threads, operations; // of each thread; together at most LINEAR_OPERATIONS
	// Sets kind, key and argument from a random number.
	void (*choose)(struct linear_operation *operation, uint64_t random);
	// Does it to the container and sets result. Called by several threads.
	void (*perform)(void *container, struct linear_operation *operation);
	// Does it to the model. False when the model cannot return `result`.
	bool (*apply)(struct linear_model *model, const struct linear_operation *operation);
	// Empties the container between the rounds; no thread is at work.
	void (*clear)(void *container);
};

void linear_rounds(const struct linear_subject *subject, void *container, unsigned rounds);

// The search alone.
bool linear_check(const struct linear_subject *subject, const struct linear_operation *operations,
	unsigned count);

#endif
