// The object graph against definitions: what is reachable, dominated and retained is computed once
// more by the most obvious means (walk again without the node) on thousands of small random graphs.
#include "test.h"

#include "graph_synthetic.h"

enum { NODES_MAX = 400, LABELS = 4, NOBODY = 0xffff };

static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

static uint32_t random_below(uint32_t bound)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 20) % bound;
}

static bool bit(const uint64_t *bits, uint32_t index)
{
	return bits[index >> 6] >> (index & 63) & 1;
}

// A small graph and all that is to be known about it. Nodes: objects, then holders, then groups of
// them (or none), then the root.
struct model {
	uint32_t objects, holders, groups, nodes;
	uint32_t group_of[NODES_MAX]; // by holder
	bool edge[NODES_MAX][NODES_MAX];
	bool precise[NODES_MAX][NODES_MAX]; // holder edges
	uint64_t sizes[NODES_MAX];
	uint64_t allocated[NODES_MAX / 64 + 1];
	uint32_t labels[NODES_MAX];
	bool reached[NODES_MAX], precisely[NODES_MAX];
};

// What can be reached from the root without entering the nodes of `without`.
static void model_walk(
	const struct model *model, const bool *without, bool conservative_too, bool *reached)
{
	uint32_t stack[NODES_MAX], depth = 0, root = model->nodes - 1;

	memset(reached, 0, NODES_MAX * sizeof(*reached));
	stack[depth++] = root;
	reached[root] = true;
	for (int pass = 0; pass <= conservative_too; pass++) {
		if (pass)
			for (uint32_t n = 0; n < model->nodes; n++)
				if (reached[n])
					stack[depth++] = n;
		while (depth) {
			uint32_t from = stack[--depth];

			for (uint32_t to = 0; to < model->nodes; to++) {
				bool is_free = to < model->objects && !bit(model->allocated, to);
				bool is_root_edge = from >= model->objects && from != root;

				if (!model->edge[from][to] || reached[to] ||
					(without && without[to]))
					continue;
				if (!pass && is_root_edge && !model->precise[from][to])
					continue;
				if (pass && is_free)
					continue;
				reached[to] = true;
				stack[depth++] = to;
			}
		}
	}
}

static void model_random(struct model *model, uint32_t shape)
{
	memset(model, 0, sizeof(*model));
	model->objects = 1 + random_below(shape % 3 == 2 ? 250 : 40);
	model->holders = random_below(6);
	model->groups = shape % 2 ? 1 + random_below(4) : 0;
	model->nodes = model->objects + model->holders + model->groups + 1;
	bool all = shape % 4;
	for (uint32_t n = 0; n < model->objects; n++) {
		model->sizes[n] = 8 * (1 + n / (1 + shape % 40));
		model->labels[n] = random_below(LABELS + 1);
		if (all || random_below(8))
			model->allocated[n >> 6] |= UINT64_C(1) << (n & 63);
	}
	uint32_t edges = random_below(model->objects * (1 + shape % 5) + 1);
	for (uint32_t i = 0; i < edges; i++) {
		uint32_t from = random_below(model->objects), to = random_below(model->objects);

		if (shape % 3 == 1) // mostly trees: a node's predecessors are near
			from = to ? to - 1 - random_below(to < 4 ? to : 4) : 0;
		if (from != to && bit(model->allocated, from))
			model->edge[from][to] = true;
	}
	for (uint32_t h = 0; h < model->holders; h++) {
		uint32_t from = model->objects + h;

		for (uint32_t i = random_below(4); i > 0; i--) {
			uint32_t to = random_below(
				random_below(3) ? model->objects : 1 + model->objects / 8);

			bool precise = random_below(3) != 0;

			// A conservative edge to a free slot is none.
			if (!precise && !bit(model->allocated, to))
				continue;
			model->edge[from][to] = true;
			model->precise[from][to] |= precise;
		}
		uint32_t above = model->nodes - 1;
		if (model->groups) {
			model->group_of[h] = random_below(model->groups);
			above = model->objects + model->holders + model->group_of[h];
		}
		model->edge[above][from] = model->precise[above][from] = true;
	}
	for (uint32_t g = 0; g < model->groups; g++)
		model->edge[model->nodes - 1][model->objects + model->holders + g] = true;
	model_walk(model, NULL, false, model->precisely);
	model_walk(model, NULL, true, model->reached);
}

static struct graph *model_graph(const struct model *model, unsigned threads)
{
	static struct edge edges[NODES_MAX * NODES_MAX];
	static struct holder_edge roots[NODES_MAX * NODES_MAX];
	struct synthetic synthetic = {
		model->objects, model->sizes, model->allocated, edges, 0, 1 + random_below(200)};
	size_t root_count = 0;
	struct graph *graph;

	for (uint32_t from = 0; from < model->nodes - 1; from++) {
		for (uint32_t to = 0; to < model->objects; to++) {
			if (!model->edge[from][to])
				continue;
			// Some edges twice, and pointers to oneself.
			for (uint32_t times = 1 + !random_below(4); times > 0; times--) {
				if (from < model->objects)
					edges[synthetic.edge_count++] = (struct edge){from, to};
				else
					roots[root_count++] =
						(struct holder_edge){from - model->objects, to,
							model->precise[from][to]};
			}
			if (from < model->objects && !random_below(5))
				edges[synthetic.edge_count++] = (struct edge){from, from};
		}
	}
	assert_success(synthetic_extract(&synthetic, threads, &graph));
	assert_success(graph_connect(graph, model->holders, roots, root_count));
	return graph;
}

static node_id graph_of_model(const struct model *model, const struct graph *graph, uint32_t node)
{
	if (node < model->objects)
		return node;
	if (node < model->objects + model->holders)
		return graph_holder_node(graph, node - model->objects);
	return node == model->nodes - 1
		       ? graph_root_node(graph)
		       : graph_group_node(graph, node - model->objects - model->holders);
}

static void check_reached(const struct model *model, const struct graph *graph)
{
	uint64_t count = 0, bytes = 0;

	for (uint32_t n = 0; n < model->objects; n++) {
		assert_int_equal(bit(graph_reached(graph), n), model->reached[n]);
		assert_int_equal(bit(graph_reached_precisely(graph), n), model->precisely[n]);
		count += model->reached[n];
		bytes += model->reached[n] ? model->sizes[n] : 0;
	}
	assert_int_equal(graph_reached_count(graph), count);
	assert_int_equal(graph_reached_bytes(graph), bytes);
}

// The part of the graph that is traversed: of what is free, only what precise edges reach.
static void model_restrict(struct model *model)
{
	for (uint32_t from = 0; from < model->nodes; from++)
		for (uint32_t to = 0; to < model->nodes; to++) {
			model->edge[from][to] &= model->reached[from] && model->reached[to];
			model->precise[from][to] = true;
		}
}

static uint32_t label_of(void *context, object_id id)
{
	const struct model *model = context;

	return model->labels[id];
}

static void check_labels(struct model *model, struct graph *graph, bool (*dominates)[NODES_MAX])
{
	uint64_t bytes[LABELS], expected[LABELS] = {0};

	assert_success(graph_prepare_tree(graph));
	assert_success(graph_retained_by_label(graph, label_of, model, LABELS, bytes));
	for (uint32_t n = 0; n < model->objects; n++)
		for (uint32_t label = 0; label < LABELS; label++)
			for (uint32_t d = 0; d < model->objects; d++)
				if (model->labels[d] == label && dominates[d][n]) {
					expected[label] += model->sizes[n];
					break;
				}
	for (uint32_t label = 0; label < LABELS; label++)
		assert_int_equal(bytes[label], expected[label]);
}

static bool add_one(void *context, node_id node)
{
	(*(uint32_t *)context)++;
	return true;
}

// Each reachable node but the root is the child of its dominator, once.
static void check_tree(const struct model *model, struct graph *graph)
{
	uint32_t children[NODES_MAX] = {0}, seen;

	assert_success(graph_prepare_tree(graph));
	for (uint32_t n = 0; n < model->nodes; n++)
		for (uint32_t d = 0; d < model->nodes; d++)
			children[d] += graph_dominator(graph, graph_of_model(model, graph, n)) ==
				       graph_of_model(model, graph, d);
	for (uint32_t n = 0; n < model->nodes; n++) {
		seen = 0;
		assert_true(
			graph_dominated(graph, graph_of_model(model, graph, n), add_one, &seen));
		assert_int_equal(seen, children[n]);
	}
}

static bool clear_bit(void *context, node_id node)
{
	bool *expected = context;

	assert_true(expected[node]);
	expected[node] = false;
	return true;
}

static void check_shared(const struct model *model, struct graph *graph)
{
	bool expected[NODES_MAX] = {false};

	assert_success(graph_prepare_paths(graph));
	for (uint32_t n = 0; n < model->objects; n++) {
		node_id keeper = n, above = graph_dominator(graph, n);

		expected[n] = above == graph_root_node(graph);
		for (; above != NODE_NONE && above != graph_root_node(graph);
			above = graph_dominator(graph, above))
			keeper = above;
		assert_int_equal(graph_keeper(graph, n), model->reached[n] ? keeper : NODE_NONE);
	}
	graph_shared(graph, clear_bit, expected);
	for (uint32_t n = 0; n < model->objects; n++)
		assert_false(expected[n]);
}

static void check_dominators(struct model *model, struct graph *graph)
{
	static bool dominates[NODES_MAX][NODES_MAX]; // [d][n]: every path to n passes d
	bool without[NODES_MAX], reached[NODES_MAX];
	uint32_t root = model->nodes - 1;

	model_restrict(model);
	for (uint32_t d = 0; d < model->nodes; d++) {
		memset(without, 0, sizeof(without));
		without[d] = true;
		if (d == root)
			memset(reached, 0, sizeof(reached));
		else
			model_walk(model, without, true, reached);
		uint64_t bytes = 0, count = 0;
		for (uint32_t n = 0; n < model->nodes; n++) {
			dominates[d][n] = model->reached[n] && !reached[n] && model->reached[d];
			if (dominates[d][n] && n < model->objects) {
				bytes += model->sizes[n];
				count++;
			}
		}
		assert_int_equal(graph_retained(graph, graph_of_model(model, graph, d)), bytes);
		assert_int_equal(
			graph_retained_count(graph, graph_of_model(model, graph, d)), count);
	}
	for (uint32_t n = 0; n < model->nodes; n++) {
		node_id expected = NODE_NONE;

		// The immediate dominator is the proper dominator that all the others dominate.
		for (uint32_t d = 0; d < model->nodes && model->reached[n]; d++) {
			bool immediate = d != n && dominates[d][n];

			for (uint32_t e = 0; e < model->nodes && immediate; e++)
				immediate = e == n || !dominates[e][n] || dominates[e][d];
			if (immediate)
				expected = graph_of_model(model, graph, d);
		}
		assert_int_equal(graph_dominator(graph, graph_of_model(model, graph, n)), expected);
	}
	check_labels(model, graph, dominates);
	check_shared(model, graph);
	check_tree(model, graph);
}

static void check_retained_set(const struct model *model, struct graph *graph)
{
	uint64_t set[NODES_MAX / 64 + 1] = {0}, bytes, count, expected_bytes = 0,
				      expected_count = 0;
	bool without[NODES_MAX] = {0}, reached[NODES_MAX];

	for (uint32_t n = 0; n < model->objects; n++) {
		without[n] = model->labels[n] == 1;
		set[n >> 6] |= (uint64_t)without[n] << (n & 63);
	}
	model_walk(model, without, true, reached);
	for (uint32_t n = 0; n < model->objects; n++) {
		if (model->reached[n] && !reached[n]) {
			expected_bytes += model->sizes[n];
			expected_count++;
		}
	}
	assert_success(graph_retained_set(graph, set, &bytes, &count));
	assert_int_equal(bytes, expected_bytes);
	assert_int_equal(count, expected_count);
}

static bool is_not(void *context, node_id successor)
{
	return successor != *(const node_id *)context;
}

static void check_paths(const struct model *model, struct graph *graph)
{
	uint32_t distance[NODES_MAX], queue[NODES_MAX], head = 0, tail = 0;

	memset(distance, 0xff, sizeof(distance));
	queue[tail++] = model->nodes - 1;
	distance[model->nodes - 1] = 0;
	for (; head < tail; head++)
		for (uint32_t to = 0; to < model->nodes; to++)
			if (model->edge[queue[head]][to] && distance[to] == UINT32_MAX) {
				distance[to] = distance[queue[head]] + 1;
				queue[tail++] = to;
			}
	for (uint32_t n = 0; n < model->nodes - 1; n++) {
		node_id path[NODES_MAX], part[3];
		size_t skipped, length, node = graph_of_model(model, graph, n);

		length = graph_path(graph, (node_id)node, path, NODES_MAX, &skipped);
		// A path begins with a holder, so groups have none.
		if (!model->reached[n] || n >= model->objects + model->holders) {
			assert_int_equal(length, 0);
			continue;
		}
		assert_int_equal(length, distance[n] - (model->groups > 0));
		assert_int_equal(skipped, 0);
		assert_int_equal(path[length - 1], node);
		assert_true(path[0] >= graph_holder_node(graph, 0));
		for (size_t i = 1; i < length; i++) {
			// False: the visit of path[i] stopped it.
			assert_false(graph_successors(graph, path[i - 1], is_not, &path[i]));
		}
		size_t kept = graph_path(graph, (node_id)node, part, 3, &skipped);
		assert_int_equal(kept + skipped, length);
		assert_int_equal(part[0], path[0]);
		assert_int_equal(part[kept - 1], node);
	}
}

static void test_random_graphs(void **state)
{
	struct model *model = malloc(sizeof(*model));

	for (uint32_t round = 0; round < 1500; round++) {
		model_random(model, round);
		struct graph *graph = model_graph(model, 1 + round % 3);
		check_reached(model, graph);
		if (model->groups)
			assert_success(graph_group(graph, model->groups, model->group_of));
		check_reached(model, graph);
		// Now and then with its arrays in files.
		graph_limit_memory(graph, round % 7 == 0);
		assert_success(graph_dominate(graph));
		check_dominators(model, graph);
		check_retained_set(model, graph);
		check_paths(model, graph);
		graph_destroy(graph);
	}
	free(model);
}

static void test_no_room_for_files(void **state)
{
	struct edge edges[] = {{0, 1}, {1, 0}};
	struct holder_edge root = {0, 0, true};
	struct synthetic synthetic = {.count = 2, .edges = edges, .edge_count = 2, .piece = 64};
	struct graph *graph;

	setenv("TMPDIR", "/nonexistent", 1);
	assert_success(synthetic_extract(&synthetic, 1, &graph));
	assert_success(graph_connect(graph, 1, &root, 1));
	graph_limit_memory(graph, 1);
	struct error *err = graph_dominate(graph);
	assert_non_null(err);
	assert_int_equal(error_kind(err), ERROR_INTERNAL);
	assert_non_null(strstr(error_message(err), "/nonexistent has no room"));
	error_destroy(err);
	graph_destroy(graph);
	unsetenv("TMPDIR");
}

static void test_no_objects(void **state)
{
	struct synthetic synthetic = {.piece = 64};
	struct graph *graph;

	assert_success(synthetic_extract(&synthetic, 2, &graph));
	assert_success(graph_connect(graph, 0, NULL, 0));
	assert_success(graph_dominate(graph));
	assert_int_equal(graph_retained(graph, graph_root_node(graph)), 0);
	assert_int_equal(graph_dominator(graph, graph_root_node(graph)), NODE_NONE);
	graph_destroy(graph);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_graphs),
		cmocka_unit_test(test_no_objects),
		cmocka_unit_test(test_no_room_for_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
