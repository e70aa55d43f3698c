// See linear.h. The threads of a round start together by turning round a counter, so that they really overlap.
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "linear.h"

enum { MEMORY = 1 << 14 }; // states that led nowhere; a full table only forgets

struct state {
	uint64_t done; // a bit an operation
	struct linear_model model;
};

struct search {
	const struct linear_subject *subject;
	const struct linear_operation *operations;
	unsigned count;
	struct state *dead;
};

static size_t state_slot(const struct state *state)
{
	uint64_t hash = state->done;

	for (unsigned i = 0; i < LINEAR_WORDS; i++)
		hash = (hash ^ state->model.words[i]) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
	return hash >> 50;
}

// At most LINEAR_OPERATIONS deep.
static bool search_from(struct search *search, const struct state *state)
{
	uint64_t all = (UINT64_C(1) << search->count) - 1, first_end = UINT64_MAX;
	struct state *dead = &search->dead[state_slot(state)];

	if (state->done == all)
		return true;
	if (!memcmp(dead, state, sizeof(*state)))
		return false;
	for (unsigned i = 0; i < search->count; i++)
		if (!(state->done >> i & 1) && search->operations[i].end_ns < first_end)
			first_end = search->operations[i].end_ns;
	for (unsigned i = 0; i < search->count; i++) {
		// What began after another one ended cannot come before it.
		if (state->done >> i & 1 || search->operations[i].begin_ns > first_end)
			continue;
		struct state next = *state;
		next.done |= UINT64_C(1) << i;
		if (search->subject->apply(&next.model, &search->operations[i]) &&
			search_from(search, &next))
			return true;
	}
	*dead = *state;
	return false;
}

bool linear_check(const struct linear_subject *subject, const struct linear_operation *operations,
	unsigned count)
{
	struct search search = {subject, operations, count, calloc(MEMORY, sizeof(struct state))};
	struct state start = {0};

	assert_non_null(search.dead);
	// An unused place of the memory must not look like the start.
	search.dead[state_slot(&start)].done = UINT64_MAX;
	bool found = search_from(&search, &start);
	free(search.dead);
	return found;
}

struct round {
	const struct linear_subject *subject;
	void *container;
	unsigned rounds;
	atomic_uint arrived; // threads at the start or at the end of a round, counted on and on
	struct linear_operation operations[LINEAR_THREADS][LINEAR_OPERATIONS];
};

struct worker {
	struct round *round;
	unsigned number;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// Waits until everybody, the main thread included, has arrived for the `turn`-th time.
static void round_meet(struct round *round, unsigned turn)
{
	unsigned wanted = turn * (round->subject->threads + 1);

	atomic_fetch_add(&round->arrived, 1);
	for (unsigned spins = 0; atomic_load(&round->arrived) < wanted; spins++)
		if (spins > 1000)
			nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	struct round *round = worker->round;
	struct linear_operation *operations = round->operations[worker->number];

	for (unsigned turn = 0; turn < round->rounds; turn++) {
		round_meet(round, 2 * turn + 1);
		for (unsigned i = 0; i < round->subject->operations; i++) {
			operations[i].begin_ns = now_ns();
			round->subject->perform(round->container, &operations[i]);
			operations[i].end_ns = now_ns();
		}
		round_meet(round, 2 * turn + 2);
	}
	return NULL;
}

static void round_choose(struct round *round, uint64_t *random)
{
	for (unsigned thread = 0; thread < round->subject->threads; thread++)
		for (unsigned i = 0; i < round->subject->operations; i++) {
			*random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
			round->operations[thread][i] = (struct linear_operation){.thread = thread};
			round->subject->choose(&round->operations[thread][i],
				*random * UINT64_C(2685821657736338717) >> 8);
		}
}

static void round_judge(const struct round *round)
{
	struct linear_operation all[LINEAR_OPERATIONS] = {0};
	unsigned count = 0;

	for (unsigned thread = 0; thread < round->subject->threads; thread++)
		for (unsigned i = 0; i < round->subject->operations; i++)
			all[count++] = round->operations[thread][i];
	if (linear_check(round->subject, all, count))
		return;
	for (unsigned i = 0; i < count; i++)
		print_message("thread %u, %llu to %llu: kind %u key %llu argument %llu -> %llu\n",
			all[i].thread, (unsigned long long)(all[i].begin_ns - all[0].begin_ns),
			(unsigned long long)(all[i].end_ns - all[0].begin_ns), all[i].kind,
			(unsigned long long)all[i].key, (unsigned long long)all[i].argument,
			(unsigned long long)all[i].result);
	fail_msg("no order of these operations explains what they returned");
}

void linear_rounds(const struct linear_subject *subject, void *container, unsigned rounds)
{
	static struct round round;
	struct worker workers[LINEAR_THREADS];
	pthread_t threads[LINEAR_THREADS];
	uint64_t random = 88172645463325252;

	assert_true(subject->threads <= LINEAR_THREADS);
	assert_true(subject->threads * subject->operations <= LINEAR_OPERATIONS);
	round.subject = subject;
	round.container = container;
	round.rounds = rounds;
	atomic_store(&round.arrived, 0);
	for (unsigned i = 0; i < subject->threads; i++) {
		workers[i] = (struct worker){&round, i};
		assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
	}
	for (unsigned turn = 0; turn < rounds; turn++) {
		subject->clear(container);
		round_choose(&round, &random);
		round_meet(&round, 2 * turn + 1);
		round_meet(&round, 2 * turn + 2);
		round_judge(&round);
	}
	for (unsigned i = 0; i < subject->threads; i++)
		pthread_join(threads[i], NULL);
}
