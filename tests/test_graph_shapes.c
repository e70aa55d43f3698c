// Dominators on graphs of the shapes that heaps have and that algorithms stumble over: against the
// simple iterative algorithm (Cooper, Harvey, Kennedy) where that is fast enough, and at a million
// nodes just to see that it ends.
#include "test.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/units.h"
#include "graph_synthetic.h"
#include "heapwhy/vector.h"

struct shape {
	object_id count;
	HW_VECTOR(struct edge) edges;
	HW_VECTOR(struct holder_edge) roots;
	uint32_t holders;
};

typedef void shape_make(struct shape *shape, uint32_t size);

static uint64_t random_state = UINT64_C(0x2545f4914f6cdd1d);

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 20) % bound;
}

static void edge_add(struct shape *shape, node_id from, node_id to)
{
	assert_true(hw_vector_push(&shape->edges, ((struct edge){from, to})));
}

static void root_add(struct shape *shape, uint32_t holder, object_id object)
{
	if (holder >= shape->holders)
		shape->holders = holder + 1;
	assert_true(hw_vector_push(&shape->roots, ((struct holder_edge){holder, object, true})));
}

static void make_chain(struct shape *shape, uint32_t size)
{
	shape->count = size;
	for (uint32_t i = 0; i + 1 < size; i++)
		edge_add(shape, i, i + 1);
	root_add(shape, 0, 0);
}

// A chain whose nodes also point into a second one, in the opposite order: quadratic for plain
// semi-NCA.
static void make_mirrored_chain(struct shape *shape, uint32_t size)
{
	uint32_t half = size / 2;

	shape->count = 2 * half;
	for (uint32_t i = 0; i < half; i++) {
		if (i + 1 < half)
			edge_add(shape, i, i + 1);
		edge_add(shape, i, half + i);
		edge_add(shape, i, 2 * half - 1 - i);
	}
	root_add(shape, 0, 0);
}

// container/list: neighbours both ways, every element to the list, a value each.
static void make_list(struct shape *shape, uint32_t size)
{
	uint32_t half = size / 2;

	shape->count = 2 * half + 1;
	for (uint32_t i = 0; i < half; i++) {
		if (i + 1 < half)
			edge_add(shape, i, i + 1);
		if (i)
			edge_add(shape, i, i - 1);
		edge_add(shape, i, 2 * half);
		edge_add(shape, i, half + i);
	}
	edge_add(shape, 2 * half, 0);
	edge_add(shape, 2 * half, half - 1);
	root_add(shape, 0, 2 * half);
}

static void make_shuffled_chain(struct shape *shape, uint32_t size)
{
	uint32_t *order = malloc(size * sizeof(*order));

	assert_non_null(order);
	shape->count = size;
	for (uint32_t i = 0; i < size; i++)
		order[i] = i;
	for (uint32_t i = size - 1; i > 0; i--) {
		uint32_t j = random_below(i + 1), kept = order[i];

		order[i] = order[j];
		order[j] = kept;
	}
	for (uint32_t i = 0; i + 1 < size; i++)
		edge_add(shape, order[i], order[i + 1]);
	root_add(shape, 1, order[0]);
	free(order);
}

static void make_tree(struct shape *shape, uint32_t size)
{
	shape->count = size;
	for (uint32_t i = 1; i < size; i++)
		edge_add(shape, (i - 1) / 3, i);
	root_add(shape, 0, 0);
}

static void make_tree_with_parents(struct shape *shape, uint32_t size)
{
	make_tree(shape, size);
	for (uint32_t i = 1; i < size; i++)
		edge_add(shape, i, (i - 1) / 3);
}

static void make_cliques(struct shape *shape, uint32_t size)
{
	enum { CLIQUE = 12 };

	shape->count = size / CLIQUE * CLIQUE;
	for (uint32_t base = 0; base < shape->count; base += CLIQUE) {
		for (uint32_t i = 0; i < CLIQUE; i++)
			for (uint32_t j = 0; j < CLIQUE; j++)
				edge_add(shape, base + i, base + j);
		if (base)
			edge_add(shape, base - 1 - random_below(CLIQUE),
				base + random_below(CLIQUE));
	}
	root_add(shape, 0, 3);
}

// 0 -> {1, 2} -> 3 -> {4, 5} -> 6 ...
static void make_diamonds(struct shape *shape, uint32_t size)
{
	shape->count = size / 3 * 3 + 1;
	for (uint32_t i = 0; i + 3 < shape->count; i += 3) {
		edge_add(shape, i, i + 1);
		edge_add(shape, i, i + 2);
		edge_add(shape, i + 1, i + 3);
		edge_add(shape, i + 2, i + 3);
	}
	root_add(shape, 0, 0);
}

static void make_random(struct shape *shape, uint32_t size)
{
	shape->count = size;
	for (uint32_t i = 0; i < 2 * size; i++)
		edge_add(shape, random_below(size), random_below(size));
	for (uint32_t i = 0; i < 5; i++)
		root_add(shape, i, random_below(size));
}

// Several holders, all of one array that points to everything, and every object back to the array.
static void make_wide(struct shape *shape, uint32_t size)
{
	shape->count = size;
	for (uint32_t i = size; i > 1; i--) {
		edge_add(shape, 0, i - 1);
		edge_add(shape, i - 1, 0);
	}
	root_add(shape, 0, 0);
	root_add(shape, 1, 0);
	root_add(shape, 1, size / 2);
}

static const struct {
	const char *name;
	shape_make *make;
} shapes[] = {
	{"chain", make_chain},
	{"mirrored chain", make_mirrored_chain},
	{"list", make_list},
	{"shuffled chain", make_shuffled_chain},
	{"tree", make_tree},
	{"tree with parent pointers", make_tree_with_parents},
	{"cliques", make_cliques},
	{"diamonds", make_diamonds},
	{"random", make_random},
	{"wide", make_wide},
};

// The iterative algorithm, on nodes numbered as objects, holders, root.
struct iterative {
	uint32_t count, root;
	uint32_t *first, *targets;       // successors, from first[n] to first[n + 1]
	uint32_t *before_first, *before; // predecessors
	uint32_t *postorder;             // of each node; UINT32_MAX: not reached
	uint32_t *by_postorder, reached;
	uint32_t *dominator;
};

static uint32_t *numbers(size_t count)
{
	uint32_t *array = calloc(count + 1, sizeof(*array));

	assert_non_null(array);
	return array;
}

static void adjacency(uint32_t count, const struct edge *edges, size_t edge_count, bool backwards,
	uint32_t **first_out, uint32_t **targets_out)
{
	uint32_t *first = numbers(count + 2), *targets = numbers(edge_count);

	for (size_t i = 0; i < edge_count; i++)
		first[(backwards ? edges[i].to : edges[i].from) + 2]++;
	for (uint32_t n = 2; n < count + 2; n++)
		first[n] += first[n - 1];
	for (size_t i = 0; i < edge_count; i++)
		targets[first[(backwards ? edges[i].to : edges[i].from) + 1]++] =
			backwards ? edges[i].from : edges[i].to;
	*first_out = first;
	*targets_out = targets;
}

static void iterative_number(struct iterative *it)
{
	uint32_t *stack = numbers(it->count), *next = numbers(it->count), depth = 0;
	bool *seen = calloc(it->count, 1);

	it->postorder = numbers(it->count);
	it->by_postorder = numbers(it->count);
	memset(it->postorder, 0xff, it->count * sizeof(*it->postorder));
	stack[depth++] = it->root;
	seen[it->root] = true;
	while (depth) {
		uint32_t node = stack[depth - 1];
		uint32_t edge = it->first[node] + next[node]++;

		if (edge >= it->first[node + 1]) {
			it->by_postorder[it->reached] = node;
			it->postorder[node] = it->reached++;
			depth--;
		} else if (!seen[it->targets[edge]]) {
			seen[it->targets[edge]] = true;
			stack[depth++] = it->targets[edge];
		}
	}
	free(stack);
	free(next);
	free(seen);
}

static uint32_t iterative_meet(const struct iterative *it, uint32_t a, uint32_t b)
{
	while (a != b) {
		while (it->postorder[a] < it->postorder[b])
			a = it->dominator[a];
		while (it->postorder[b] < it->postorder[a])
			b = it->dominator[b];
	}
	return a;
}

static void iterative_run(struct iterative *it)
{
	it->dominator = numbers(it->count);
	memset(it->dominator, 0xff, it->count * sizeof(*it->dominator));
	it->dominator[it->root] = it->root;
	for (bool changed = true; changed;) {
		changed = false;
		for (uint32_t i = it->reached - 1; i > 0; i--) {
			uint32_t node = it->by_postorder[i - 1], best = UINT32_MAX;

			for (uint32_t e = it->before_first[node]; e < it->before_first[node + 1];
				e++) {
				uint32_t from = it->before[e];

				if (it->postorder[from] == UINT32_MAX ||
					it->dominator[from] == UINT32_MAX)
					continue;
				best = best == UINT32_MAX ? from : iterative_meet(it, from, best);
			}
			changed |= it->dominator[node] != best;
			it->dominator[node] = best;
		}
	}
}

static void iterative_init(struct iterative *it, const struct shape *shape)
{
	HW_VECTOR(struct edge) edges = HW_VECTOR_INIT;

	*it = (struct iterative){.count = shape->count + shape->holders + 1};
	it->root = it->count - 1;
	assert_true(hw_vector_reserve(
		&edges, shape->edges.count + shape->roots.count + shape->holders));
	for (size_t i = 0; i < shape->edges.count; i++)
		hw_vector_push(&edges, shape->edges.items[i]);
	for (size_t i = 0; i < shape->roots.count; i++)
		hw_vector_push(&edges, ((struct edge){shape->count + shape->roots.items[i].holder,
					       shape->roots.items[i].object}));
	for (uint32_t h = 0; h < shape->holders; h++)
		hw_vector_push(&edges, ((struct edge){it->root, shape->count + h}));
	adjacency(it->count, edges.items, edges.count, false, &it->first, &it->targets);
	adjacency(it->count, edges.items, edges.count, true, &it->before_first, &it->before);
	hw_vector_deinit(&edges);
	iterative_number(it);
	iterative_run(it);
}

static void iterative_deinit(struct iterative *it)
{
	free(it->first);
	free(it->targets);
	free(it->before_first);
	free(it->before);
	free(it->postorder);
	free(it->by_postorder);
	free(it->dominator);
}

static struct graph *shape_graph(struct shape *shape)
{
	struct synthetic synthetic = {.count = shape->count,
		.edges = shape->edges.items,
		.edge_count = shape->edges.count,
		.piece = 10000};
	struct graph *graph;

	assert_success(synthetic_extract(&synthetic, 2, &graph));
	assert_success(
		graph_connect(graph, shape->holders, shape->roots.items, shape->roots.count));
	assert_success(graph_dominate(graph));
	return graph;
}

static void shape_deinit(struct shape *shape)
{
	hw_vector_deinit(&shape->edges);
	hw_vector_deinit(&shape->roots);
}

static void check_against_iterative(struct shape *shape, struct graph *graph)
{
	struct iterative it;

	iterative_init(&it, shape);
	uint64_t *bytes = calloc(it.count, sizeof(*bytes));
	for (uint32_t i = 0; i < it.reached; i++) {
		uint32_t node = it.by_postorder[i];

		bytes[node] += node < shape->count ? 16 : 0;
		if (node != it.root)
			bytes[it.dominator[node]] += bytes[node];
	}
	for (uint32_t n = 0; n < it.count; n++) {
		node_id node = n < shape->count ? n : graph_holder_node(graph, n - shape->count);
		node_id expected = NODE_NONE;

		if (n != it.root && it.dominator[n] != UINT32_MAX)
			expected =
				it.dominator[n] < shape->count
					? it.dominator[n]
					: graph_holder_node(graph, it.dominator[n] - shape->count);
		assert_int_equal(graph_dominator(graph, node), expected);
		// Walking a folded chain from each of its nodes would be quadratic.
		if (n % 97 && n < shape->count)
			continue;
		assert_int_equal(graph_retained(graph, node), bytes[n]);
		assert_true(graph_retains(graph, node, bytes[n]));
		assert_false(graph_retains(graph, node, bytes[n] + 1));
	}
	free(bytes);
	iterative_deinit(&it);
}

static void dominators_equal_the_iterative_algorithm(void **state)
{
	static const uint32_t sizes[] = {24, 301, 2000};

	for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
		for (size_t s = 0; s < ARRAY_COUNT(sizes); s++) {
			struct shape shape = {0};

			shapes[i].make(&shape, sizes[s]);
			struct graph *graph = shape_graph(&shape);
			check_against_iterative(&shape, graph);
			graph_destroy(graph);
			shape_deinit(&shape);
		}
	}
}

// A quadratic step anywhere would not end within the test's time limit.
static void big_shapes_end(void **state)
{
	for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
		struct shape shape = {0};

		shapes[i].make(&shape, 300000);
		struct graph *graph = shape_graph(&shape);
		assert_int_equal(
			graph_retained(graph, graph_root_node(graph)), graph_reached_bytes(graph));
		assert_int_equal(graph_retained_count(graph, graph_root_node(graph)),
			graph_reached_count(graph));
		graph_destroy(graph);
		shape_deinit(&shape);
	}
}

// Sizes beyond 32 bits, in lines of one, two and many sizes, and sums beyond 32 GiB.
static void huge_objects_are_summed_exactly(void **state)
{
	enum { COUNT = 200 };
	uint64_t sizes[COUNT], sum = 0;
	struct edge edges[COUNT];
	struct synthetic synthetic = {COUNT, sizes, NULL, edges, COUNT - 1, 64};
	struct holder_edge root = {0, 0, true};
	struct graph *graph;

	for (uint32_t i = 0; i < COUNT; i++) {
		sizes[i] = i < 70 ? UINT64_C(5) << 30 : i < 130 ? 8192 : 8 * (uint64_t)i;
		edges[i] = (struct edge){i, i + 1};
		sum += sizes[i];
	}
	assert_success(synthetic_extract(&synthetic, 1, &graph));
	assert_success(graph_connect(graph, 1, &root, 1));
	assert_int_equal(graph_reached_bytes(graph), sum);
	assert_success(graph_dominate(graph));
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(graph_retained(graph, i), sum);
		assert_true(graph_retains(graph, i, sum));
		assert_false(graph_retains(graph, i, sum + 1));
		sum -= sizes[i];
	}
	graph_destroy(graph);
}

// One object that points to everything, many times: its targets become a bitmap, its line a block
// of its own.
static void one_object_points_to_everything(void **state)
{
	enum { COUNT = 300000 };
	struct shape shape = {.count = COUNT};
	struct holder_edge root = {0, 150000, true};

	for (uint32_t i = 0; i < 3 * COUNT; i++)
		edge_add(&shape, 150000, (uint32_t)((uint64_t)i * 7919 % COUNT));
	struct synthetic synthetic = {.count = COUNT,
		.edges = shape.edges.items,
		.edge_count = shape.edges.count,
		.piece = 64};
	struct graph *graph;
	assert_success(synthetic_extract(&synthetic, 2, &graph));
	assert_int_equal(graph_edge_count(graph), COUNT - 1);
	assert_success(graph_connect(graph, 1, &root, 1));
	assert_int_equal(graph_reached_count(graph), COUNT);
	assert_success(graph_dominate(graph));
	assert_int_equal(graph_retained(graph, 150000), COUNT * 16);
	assert_int_equal(graph_retained(graph, 7), 16);
	graph_destroy(graph);
	shape_deinit(&shape);
}

// The whole way with `room` bytes more of address space than the edges need. Says whether it came
// through.
static bool run_within(struct shape *shape, size_t room)
{
	struct synthetic synthetic = {.count = shape->count,
		.edges = shape->edges.items,
		.edge_count = shape->edges.count,
		.piece = 10000};
	struct rlimit old, tight;
	struct graph *graph = NULL;
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	getrlimit(RLIMIT_AS, &old);
	tight = (struct rlimit){pages * (size_t)getpagesize() + room, old.rlim_max};
	setrlimit(RLIMIT_AS, &tight);
	struct error *err = synthetic_extract(&synthetic, 2, &graph);
	if (!err)
		err = graph_connect(graph, shape->holders, shape->roots.items, shape->roots.count);
	if (!err)
		err = graph_dominate(graph);
	if (!err)
		err = graph_prepare_paths(graph);
	setrlimit(RLIMIT_AS, &old);
	if (err)
		assert_int_equal(error_kind(err), ERROR_INTERNAL);
	else
		assert_int_equal(
			graph_retained(graph, graph_root_node(graph)), graph_reached_bytes(graph));
	bool ok = !err;
	error_destroy(err);
	graph_destroy(graph);
	return ok;
}

static void no_memory_is_an_error(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	skip(); // it needs terabytes of address space itself
#endif
	struct shape shape = {0};
	unsigned failures = 0, successes = 0;

	make_random(&shape, 100000);
	for (size_t room = MIB; room <= 256 * MIB; room += room / 8)
		run_within(&shape, room) ? successes++ : failures++;
	assert_true(failures > 10);
	assert_true(successes > 0);
	shape_deinit(&shape);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dominators_equal_the_iterative_algorithm),
		cmocka_unit_test(huge_objects_are_summed_exactly),
		cmocka_unit_test(one_object_points_to_everything),
		cmocka_unit_test(big_shapes_end),
		cmocka_unit_test(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
