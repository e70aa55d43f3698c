// What rules share, on graphs made by hand: suspects that become groups, and what an object keeps only through some of
// its references.
#include "test.h"

#include "graph_synthetic.h"
#include "rules/objects.h"
#include "rules/suspects.h"

enum { OBJECTS = 64, BYTES = 16 };

// A heap of one span, whose graph is `edges`; holder h has the objects in holds[h], which 0 ends.
struct world {
	struct edge edges[16]; // {0, 0} ends the list: object 0 is nobody's
	object_id holds[4][4];

	struct span span;
	uint32_t hints[2];
	struct heap heap;
	struct analysis analysis;
	struct rule rule;
	struct findings findings;
	struct rule_run run;
};

static void world_open(struct world *world)
{
	struct synthetic synthetic = {.count = OBJECTS, .edges = world->edges, .piece = OBJECTS};
	struct holder_edge holds[16];
	size_t hold_count = 0;

	while (world->edges[synthetic.edge_count].from)
		synthetic.edge_count++;
	for (uint32_t holder = 0; holder < 4; holder++)
		for (unsigned i = 0; i < 4 && world->holds[holder][i]; i++)
			holds[hold_count++] =
				(struct holder_edge){holder, world->holds[holder][i], true};
	assert_success(synthetic_extract(&synthetic, 1, &world->analysis.graph));
	assert_success(graph_connect(world->analysis.graph, 4, holds, hold_count));
	assert_success(graph_dominate(world->analysis.graph));
	assert_success(graph_prepare_tree(world->analysis.graph));
	world->span = (struct span){.elem_size = BYTES, .count = OBJECTS, .state = SPAN_IN_USE};
	world->heap = (struct heap){.spans = &world->span,
		.span_count = 1,
		.object_count = OBJECTS,
		.span_hints = world->hints};
	world->analysis.heap = &world->heap;
	world->run = (struct rule_run){
		.analysis = &world->analysis, .rule = &world->rule, .findings = &world->findings};
}

static void world_close(struct world *world)
{
	graph_destroy(world->analysis.graph);
}

static void assert_retained_without(
	struct world *world, node_id object, node_id kept, uint64_t objects)
{
	struct retained_part part;

	assert_success(retained_without(&world->run, object, &kept, kept != 0, &part));
	assert_int_equal(part.objects, objects);
	assert_int_equal(part.bytes, objects * BYTES);
}

// 1 is an array: 2 is seen, 3 is not. 4 hangs below 3, 5 below both.
static void what_hangs_below_unseen_elements(void **state)
{
	struct world world = {
		.edges = {{1, 2}, {1, 3}, {2, 5}, {3, 4}, {3, 5}},
		.holds = {{1}},
	};

	world_open(&world);
	assert_retained_without(&world, 1, 2, 2);
	assert_retained_without(&world, 1, 3, 1);
	assert_retained_without(&world, 1, 0, 4);
	world_close(&world);
}

// The seen element leads to the others by itself: nothing would be freed.
static void elements_linked_to_each_other(void **state)
{
	struct world world = {
		.edges = {{1, 2}, {1, 3}, {1, 4}, {2, 3}, {3, 4}, {4, 3}},
		.holds = {{1}},
	};

	world_open(&world);
	assert_retained_without(&world, 1, 2, 0);
	assert_retained_without(&world, 1, 4, 1);
	world_close(&world);
}

static void elements_that_others_have_too(void **state)
{
	struct world world = {
		.edges = {{1, 2}, {1, 3}, {3, 4}},
		.holds = {{1}, {3}},
	};

	world_open(&world);
	assert_retained_without(&world, 1, 0, 1);
	world_close(&world);
}

static void assert_group(const struct suspects *suspects, size_t group, size_t count,
	uint64_t bytes, node_id example)
{
	assert_true(group < suspects->groups.count);
	assert_int_equal(suspects->groups.items[group].count, count);
	assert_int_equal(suspects->groups.items[group].bytes, bytes);
	assert_int_equal(suspects->groups.items[group].example->object, example);
}

// 11 and 12 are holder 0's, 21 and 22 holder 1's; 31 and 32 are both holders'.
static void one_cause_is_one_group(void **state)
{
	struct world world = {
		.edges = {{1, 11}, {1, 12}, {1, 31}, {1, 32}, {2, 21}, {2, 22}, {2, 31}, {2, 32}},
		.holds = {{1}, {2}},
		.rule.least = 10,
	};
	const struct suspect list[] = {{22, 7, 30, 0}, {31, 7, 5, 0}, {11, 7, 10, 0},
		{12, 8, 11, 0}, {32, 7, 6, 0}, {21, 7, 40, 0}, {12, 9, 9, 0}, {11, 8, 0, 0}};
	struct suspects suspects = {0};

	world_open(&world);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		suspects_add(&suspects, list[i]);
	assert_success(suspects_group(&suspects, &world.run));
	assert_int_equal(suspects.groups.count, 3);
	assert_group(&suspects, 0, 1, 10, 11);
	assert_group(&suspects, 1, 4, 81, 21);
	assert_group(&suspects, 2, 1, 11, 12);
	suspects_deinit(&suspects);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_hangs_below_unseen_elements),
		cmocka_unit_test(elements_linked_to_each_other),
		cmocka_unit_test(elements_that_others_have_too),
		cmocka_unit_test(one_cause_is_one_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
