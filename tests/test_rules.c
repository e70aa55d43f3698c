// The proof behind goroutine-leak, on graphs made by hand: objects are channels and locks, holders are goroutines and
// globals.
#include "test.h"

#include <stdlib.h>

#include "graph_synthetic.h"
#include "rules/wakeable.h"

enum { OBJECTS_MAX = 64, HOLDERS_MAX = 16 };

// One goroutine: holder number and what it waits for, -1 ends the list.
struct sleeper {
	uint32_t holder;
	int waits[4];
	int late; // this one of `waits` counts late; 0: none, as it is a global's object
};

struct world {
	struct edge edges[16]; // {0, 0} ends the list: object 0 has no references
	struct {
		uint32_t holder;
		object_id object;
	} holds[16]; // {0, 0} ends the list: object 0 is nobody's
	uint32_t holder_count;
	struct sleeper sleepers[8];      // a holder of 0 ends the list: holder 0 is a global
	object_id obstacles[4];          // 0 ends the list
	struct finalizing finalizing[8]; // {0, 0} ends the list
	node_id finalizers;              // the holder of all that they refer to; 0: none
	const char *expected;  // a letter a sleeper: w for woken, l for leaked, t for late
	uint64_t others_bytes; // that those who are not leaked can reach: 16 an object
};

static struct graph *world_connect(const struct world *world)
{
	struct edge edges[16];
	struct holder_edge holds[16];
	struct synthetic synthetic = {.count = OBJECTS_MAX, .edges = edges, .piece = OBJECTS_MAX};
	struct graph *graph;
	size_t hold_count = 0;

	for (; world->edges[synthetic.edge_count].from; synthetic.edge_count++)
		edges[synthetic.edge_count] = world->edges[synthetic.edge_count];
	for (; world->holds[hold_count].object; hold_count++)
		holds[hold_count] = (struct holder_edge){
			world->holds[hold_count].holder, world->holds[hold_count].object, true};
	assert_success(synthetic_extract(&synthetic, 1, &graph));
	assert_success(graph_connect(graph, world->holder_count, holds, hold_count));
	return graph;
}

static void assert_world(const struct world *world)
{
	struct graph *graph = world_connect(world);
	struct blocked blocked[8];
	struct blocked_object objects[32];
	struct blocked_list list = {
		.items = blocked,
		.objects = objects,
		.obstacles = world->obstacles,
		.finalizing = world->finalizing,
	};
	node_id finalizers = graph_holder_node(graph, world->finalizers);
	struct verdict verdicts[8];
	struct graph_walk *others;
	uint32_t object_count = 0;

	for (; world->sleepers[list.count].holder; list.count++) {
		const struct sleeper *sleeper = &world->sleepers[list.count];
		blocked[list.count] = (struct blocked){
			graph_holder_node(graph, sleeper->holder), object_count, 0};
		for (uint32_t *n = &blocked[list.count].count; sleeper->waits[*n] >= 0; ++*n)
			objects[object_count++] = (struct blocked_object){
				(object_id)sleeper->waits[*n], sleeper->late == sleeper->waits[*n]};
	}
	while (world->obstacles[list.obstacle_count])
		list.obstacle_count++;
	while (world->finalizing[list.finalizing_count].object)
		list.finalizing_count++;
	list.finalizers = &finalizers;
	list.finalizer_count = world->finalizers != 0;
	assert_success(wakeable_find(graph, world->holder_count, &list, verdicts, &others));
	for (uint32_t i = 0; i < list.count; i++)
		if ("ltw"[verdicts[i].how] != world->expected[i])
			fail_msg("sleeper %u: expected %c", i, world->expected[i]);
	assert_int_equal(graph_walk_bytes(others), world->others_bytes);
	graph_walk_destroy(others);
	graph_destroy(graph);
}

static void nobody_else_has_the_channel(void **state)
{
	assert_world(&(struct world){
		.holds = {{0, 1}, {1, 2}},
		.holder_count = 2,
		.sleepers = {{1, {2, -1}}},
		.expected = "l",
		.others_bytes = 16,
	});
}

static void a_global_has_the_channel(void **state)
{
	assert_world(&(struct world){
		.edges = {{1, 2}},
		.holds = {{0, 1}, {1, 2}, {1, 3}},
		.holder_count = 2,
		.sleepers = {{1, {2, -1}}},
		.expected = "w",
		.others_bytes = 48,
	});
}

// 1 waits for the lock that 2 holds, 2 for the one that 1 holds.
static void two_wait_for_each_other(void **state)
{
	assert_world(&(struct world){
		.holds = {{0, 1}, {1, 2}, {1, 3}, {2, 2}, {2, 3}},
		.holder_count = 3,
		.sleepers = {{1, {2, -1}}, {2, {3, -1}}},
		.expected = "ll",
		.others_bytes = 16,
	});
}

// Each has the next one's channel; somebody has the first one's. The order in the list must not matter.
static void a_chain_is_woken_from_its_end(void **state)
{
	assert_world(&(struct world){
		.holds = {{0, 9}, {4, 4}, {4, 3}, {3, 3}, {3, 2}, {2, 2}, {2, 1}, {1, 1}, {5, 4}},
		.holder_count = 6,
		.sleepers = {{1, {1, -1}}, {2, {2, -1}}, {3, {3, -1}}, {4, {4, -1}}},
		.expected = "wwww",
		.others_bytes = 5 * 16,
	});
}

static void a_chain_without_an_end_is_leaked(void **state)
{
	assert_world(&(struct world){
		.holds = {{0, 9}, {4, 4}, {4, 3}, {3, 3}, {3, 2}, {2, 2}, {2, 1}, {1, 1}},
		.holder_count = 6,
		.sleepers = {{1, {1, -1}}, {2, {2, -1}}, {3, {3, -1}}, {4, {4, -1}}},
		.expected = "llll",
		.others_bytes = 16,
	});
}

// One case of a select is enough; and then its other channels live too, which wakes somebody else.
static void one_case_wakes_a_select(void **state)
{
	assert_world(&(struct world){
		.holds = {{0, 2}, {2, 3}},
		.holder_count = 3,
		.sleepers = {{1, {2, 3, -1}}, {2, {3, -1}}},
		.expected = "ww",
		.others_bytes = 32,
	});
	assert_world(&(struct world){
		.holds = {{0, 9}, {1, 2}, {2, 3}},
		.holder_count = 3,
		.sleepers = {{1, {2, 3, -1}}, {2, {3, -1}}},
		.expected = "ll",
		.others_bytes = 16,
	});
}

// The runtime's table of semaphores leads to the sudog (7), and that to the lock (2): nobody can unlock by that.
static void a_sudog_is_no_way(void **state)
{
	struct world world = {
		.edges = {{1, 7}, {7, 2}},
		.holds = {{0, 1}, {1, 2}, {1, 7}},
		.holder_count = 2,
		.sleepers = {{1, {2, -1}}},
		.expected = "w",
		.others_bytes = 48,
	};

	assert_world(&world);
	world.obstacles[0] = 7;
	world.expected = "l";
	world.others_bytes = 16;
	assert_world(&world);
}

// A timer's channel (2) wakes 1 when nothing else does, and by that 2; what has another way is not woken by the timer.
static void timers_wake_late(void **state)
{
	assert_world(&(struct world){
		.edges = {{1, 2}},
		.holds = {{0, 1}, {1, 3}, {1, 4}, {2, 4}, {3, 1}, {4, 5}},
		.holder_count = 5,
		.sleepers = {{1, {2, 3, -1}, .late = 2}, {2, {4, -1}}, {3, {2, 1, -1}, .late = 2},
			{4, {5, -1}}},
		.expected = "ttwl",
		.others_bytes = 4 * 16,
	});
}

// 1 has object 2 and waits for 3, and 2's finalizer refers to 3. If somebody else has 2, he may drop it.
static void a_finalizer_runs_if_its_object_can_die(void **state)
{
	struct world world = {
		.holds = {{0, 1}, {1, 2}, {2, 3}},
		.holder_count = 3,
		.sleepers = {{1, {3, -1}}},
		.finalizing = {{2, 3}},
		.finalizers = 2,
		.expected = "l",
		.others_bytes = 16,
	};

	assert_world(&world);
	world.holds[0].object = 2;
	world.expected = "w";
	world.others_bytes = 32;
	assert_world(&world);
}

// Nobody has 2 or 5, so both will be finalized. 5 is dead already, 2 when that has happened.
static void finalizers_of_the_dead_run(void **state)
{
	assert_world(&(struct world){
		.edges = {{5, 2}},
		.holds = {{0, 1}, {1, 4}, {2, 2}, {2, 3}},
		.holder_count = 3,
		.sleepers = {{1, {3, -1}}},
		.finalizing = {{2, 3}, {5, 2}},
		.finalizers = 2,
		.expected = "w",
		.others_bytes = 4 * 16,
	});
}

// 2's finalizer leads back to 2.
static void a_finalizer_that_keeps_its_object_never_runs(void **state)
{
	assert_world(&(struct world){
		.edges = {{2, 4}, {4, 2}, {2, 3}},
		.holds = {{0, 1}, {1, 5}, {2, 3}, {2, 4}},
		.holder_count = 3,
		.sleepers = {{1, {3, -1}}},
		.finalizing = {{2, 3}, {2, 4}},
		.finalizers = 2,
		.expected = "l",
		.others_bytes = 16,
	});
}

// Object 2 is met only when goroutine 1 is woken, and its finalizer then wakes goroutine 2.
static void a_finalizer_of_the_woken_counts(void **state)
{
	assert_world(&(struct world){
		.holds = {{0, 1}, {1, 2}, {2, 4}, {3, 3}},
		.holder_count = 4,
		.sleepers = {{1, {1, -1}}, {2, {3, -1}}},
		.finalizing = {{2, 3}},
		.finalizers = 3,
		.expected = "ww",
		.others_bytes = 4 * 16,
	});
}

// A nil channel; it is leaked whoever knows of it, and what only it holds is not reached.
static void who_waits_for_nothing_is_leaked(void **state)
{
	assert_world(&(struct world){
		.edges = {{2, 3}},
		.holds = {{0, 1}, {1, 2}},
		.holder_count = 2,
		.sleepers = {{1, {-1}}},
		.expected = "l",
		.others_bytes = 16,
	});
}

// Going on through the leaked counts what only they have, each object once.
static void a_walk_goes_on(void **state)
{
	struct world world = {
		.edges = {{2, 4}, {3, 4}, {4, 1}},
		.holds = {{0, 1}, {1, 2}, {2, 3}},
		.holder_count = 3,
		.expected = "",
	};
	struct graph *graph = world_connect(&world);
	struct graph_walk *walk;
	object_id met;

	assert_success(graph_walk_create(graph, &walk));
	graph_walk_block(walk, 4);
	graph_walk_watch(walk, 4);
	assert_success(graph_walk_from(walk, graph_holder_node(graph, 0)));
	assert_success(graph_walk_listen(walk));
	assert_int_equal(graph_walk_count(walk), 1);
	assert_success(graph_walk_from(walk, graph_holder_node(graph, 1)));
	assert_int_equal(graph_walk_count(walk), 2);
	assert_false(graph_walk_met(walk, 4));
	assert_false(graph_walk_next(walk, &met));
	graph_walk_unblock(walk, 4);
	assert_success(graph_walk_from(walk, graph_holder_node(graph, 2)));
	assert_int_equal(graph_walk_count(walk), 4);
	assert_int_equal(graph_walk_bytes(walk), 64);
	assert_true(graph_walk_met(walk, 4));
	assert_true(graph_walk_next(walk, &met));
	assert_int_equal(met, 4);
	assert_false(graph_walk_next(walk, &met));
	// What nothing reaches stays out, blocked or not.
	graph_walk_unblock(walk, 50);
	assert_false(graph_walk_met(walk, 50));
	graph_walk_destroy(walk);
	graph_destroy(graph);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_else_has_the_channel),
		cmocka_unit_test(a_global_has_the_channel),
		cmocka_unit_test(two_wait_for_each_other),
		cmocka_unit_test(a_chain_is_woken_from_its_end),
		cmocka_unit_test(a_chain_without_an_end_is_leaked),
		cmocka_unit_test(one_case_wakes_a_select),
		cmocka_unit_test(a_sudog_is_no_way),
		cmocka_unit_test(timers_wake_late),
		cmocka_unit_test(a_finalizer_runs_if_its_object_can_die),
		cmocka_unit_test(finalizers_of_the_dead_run),
		cmocka_unit_test(a_finalizer_that_keeps_its_object_never_runs),
		cmocka_unit_test(a_finalizer_of_the_woken_counts),
		cmocka_unit_test(who_waits_for_nothing_is_leaked),
		cmocka_unit_test(a_walk_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
