// The node pool: against a model, without memory, moved together, and with mistakes made on purpose.
#include "containers_test.h"

#include "heapwhy/pool.h"

enum { NODES = 20000 };

struct model {
	struct hw_pool pool;
	size_t node_bytes;
	unsigned char *nodes[NODES];
	size_t live;
};

// Each node is filled with its place's pattern while it is allocated; nobody else may write there.
static void model_fill(struct model *model, size_t place)
{
	memset(model->nodes[place], (int)(place % 251), model->node_bytes);
	memcpy(model->nodes[place], &place, sizeof(place));
}

static void model_check(struct model *model, size_t place)
{
	unsigned char *node = model->nodes[place];

	assert_memory_equal(node, &place, sizeof(place));
	for (size_t i = sizeof(place); i < model->node_bytes; i++)
		if (node[i] != place % 251)
			fail_msg("node %zu: byte %zu is %d", place, i, node[i]);
}

static void model_free(struct model *model, size_t place)
{
	model_check(model, place);
	hw_pool_free(&model->pool, model->nodes[place]);
	model->nodes[place] = NULL;
	model->live--;
}

static void model_step(struct model *model, size_t place, bool filling, uint64_t chance)
{
	if (model->nodes[place] && (!filling || chance % 4 == 0)) {
		model_free(model, place);
	} else if (!model->nodes[place] && (filling || chance % 4 == 0)) {
		model->nodes[place] = hw_pool_alloc(&model->pool);
		assert_non_null(model->nodes[place]);
		model_fill(model, place);
		model->live++;
	}
	assert_int_equal(hw_pool_live(&model->pool), model->live);
}

static void model_moved(void *context, void *from, void *to)
{
	struct model *model = context;
	size_t place;

	memcpy(&place, to, sizeof(place));
	assert_ptr_equal(model->nodes[place], from);
	model->nodes[place] = to;
}

static void pool_behaves(size_t node_bytes, bool debug)
{
	static struct model model;
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	uint64_t random = node_bytes + 1;
	bool was = hw_debug_enabled();

	hw_debug_enable(debug);
	model = (struct model){.node_bytes = node_bytes};
	hw_pool_init(&model.pool, node_bytes, &failing.allocator);
	for (int step = 0; step < 10 * NODES; step++) {
		uint64_t chance = next_random(&random);
		model_step(&model, chance % NODES, step / (2 * NODES) % 2 == 0, chance >> 32);
		assert_int_equal(hw_pool_held_bytes(&model.pool), failing.bytes);
	}
	hw_pool_compact(&model.pool, model_moved, &model);
	size_t per_slab = model.pool.slab_bytes / node_bytes - 8;
	assert_true(failing.blocks <= model.live / per_slab + 1);
	for (size_t place = 0; place < NODES; place++)
		if (model.nodes[place])
			model_free(&model, place);
	hw_pool_trim(&model.pool);
	assert_int_equal(failing.blocks, 0);
	assert_non_null(hw_pool_alloc(&model.pool));
	hw_pool_deinit(&model.pool);
	assert_int_equal(failing.blocks, 0);
	hw_debug_enable(was);
}

static void pool_behaves_like_an_array(void **state)
{
	for (size_t node_bytes = 8; node_bytes <= 200; node_bytes += 24)
		pool_behaves(node_bytes, false);
	pool_behaves(4000, false);
	pool_behaves(32, true);
}

static void pool_takes_any_size(void **state)
{
	for (size_t bytes = 0; bytes <= HW_POOL_NODE_MAX; bytes += bytes < 300 ? 1 : 777) {
		struct hw_pool pool;
		hw_pool_init(&pool, bytes, NULL);
		char *one = hw_pool_alloc(&pool), *two = hw_pool_alloc(&pool);
		assert_true(one && two);
		memset(one, 1, bytes);
		memset(two, 2, bytes);
		assert_true(!bytes || (one[0] == 1 && one[bytes - 1] == 1));
		assert_int_equal((uintptr_t)one % 8, 0);
		hw_pool_deinit(&pool);
	}
	struct hw_pool pool;
	hw_pool_init(&pool, HW_POOL_NODE_MAX + 1, NULL);
	assert_null(hw_pool_alloc(&pool));
	hw_pool_deinit(&pool);
}

// The first time that everything is freed, everything goes back; a pool that needs it again learns to keep it.
static void pool_returns_and_learns(void **state)
{
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	static void *nodes[NODES];
	struct hw_pool pool;
	size_t blocks_after[6];

	hw_debug_enable(false);
	hw_pool_init(&pool, 32, &failing.allocator);
	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; i < NODES; i++)
			nodes[i] = hw_pool_alloc(&pool);
		for (size_t i = 0; i < NODES; i++)
			hw_pool_free(&pool, nodes[i]);
		blocks_after[round] = failing.blocks;
	}
	assert_int_equal(blocks_after[0], 0);
	assert_true(blocks_after[2] >= NODES * 32 / (64 << 10));
	assert_int_equal(blocks_after[5], blocks_after[2]);
	// Emptied again and again by ones that need little, it gives up what lies idle.
	for (int round = 0; round < 4000; round++) {
		for (size_t i = 0; i < 4200; i++)
			nodes[i] = hw_pool_alloc(&pool);
		for (size_t i = 0; i < 4200; i++)
			hw_pool_free(&pool, nodes[i]);
	}
	assert_true(failing.blocks < blocks_after[5]);
	hw_pool_trim(&pool);
	assert_int_equal(failing.blocks, 0);
	hw_pool_deinit(&pool);
}

// Half of the nodes freed anywhere, then much coming and going: the fullest slabs fill up, the others run empty.
static void pool_fills_the_fullest_first(void **state)
{
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	static void *nodes[NODES];
	uint64_t random = 5;
	struct hw_pool pool;

	hw_debug_enable(false);
	hw_pool_init(&pool, 64, &failing.allocator);
	for (size_t i = 0; i < NODES; i++)
		nodes[i] = hw_pool_alloc(&pool);
	size_t full = failing.blocks;
	for (size_t i = 0; i < NODES; i += 2) {
		hw_pool_free(&pool, nodes[i]);
		nodes[i] = NULL;
	}
	assert_int_equal(failing.blocks, full);
	for (int burst = 0; burst < 1500; burst++) {
		size_t places[200];
		for (size_t i = 0; i < 200; i++) {
			do
				places[i] = next_random(&random) % NODES;
			while (!nodes[places[i]]);
			hw_pool_free(&pool, nodes[places[i]]);
			nodes[places[i]] = NULL;
		}
		for (size_t i = 0; i < 200; i++)
			nodes[places[i]] = hw_pool_alloc(&pool);
	}
	hw_pool_trim(&pool);
	assert_true(failing.blocks <= full * 3 / 4);
	hw_pool_deinit(&pool);
}

static void pool_runs_out_of_memory(void **state)
{
	for (uint64_t left = 0; left < 6; left++) {
		struct failing_allocator failing = failing_allocator(left);
		struct hw_pool pool;
		size_t count = 0;
		void *first = NULL;
		hw_pool_init(&pool, 1000, &failing.allocator);
		for (void *node; (node = hw_pool_alloc(&pool)); count++)
			first = node;
		assert_true(left ? count > 0 : count == 0);
		assert_null(hw_pool_alloc(&pool));
		if (first) {
			hw_pool_free(&pool, first);
			assert_int_equal(hw_pool_live(&pool), count - 1);
		}
		hw_pool_deinit(&pool);
		assert_int_equal(failing.blocks, 0);
	}
}

static void pool_catches_mistakes(void **state)
{
	struct hw_pool pool, other;
	bool was = hw_debug_enabled();

	hw_debug_enable(true);
	hw_debug_set_handler(keep_violation);
	hw_pool_init(&pool, 32, NULL);
	hw_pool_init(&other, 32, NULL);
	char *node = hw_pool_alloc_at(&pool, "allocated.c:1");
	hw_pool_free_at(&pool, node, "freed.c:2");
	violation_count = 0;
	hw_pool_free_at(&pool, node, "again.c:3");
	assert_int_equal(violation_count, 1);
	assert_int_equal(last_violation.mistake, HW_FREED_TWICE);
	assert_ptr_equal(last_violation.memory, node);
	assert_string_equal(last_violation.here, "again.c:3");
	assert_string_equal(last_violation.before, "freed.c:2");
	assert_string_equal(last_violation.allocated, "allocated.c:1");

	struct hw_violation known;
	assert_true(hw_debug_find(node + 31, &known));
	assert_ptr_equal(known.memory, node);
	assert_int_equal(known.bytes, 32);
	assert_string_equal(known.before, "freed.c:2");
	assert_string_equal(known.allocated, "allocated.c:1");
	char *used = hw_pool_alloc_at(&other, "other.c:9");
	assert_true(hw_debug_find(used, &known));
	assert_null(known.before);
	assert_string_equal(known.allocated, "other.c:9");
	hw_pool_free(&other, used);
	assert_false(hw_debug_find(&known, &known));

	void *foreign = hw_pool_alloc(&other);
	hw_pool_free_at(&pool, foreign, "foreign.c:4");
	assert_int_equal(violation_count, 2);
	assert_int_equal(last_violation.mistake, HW_NOT_FROM_HERE);
	hw_pool_free_at(&pool, (char *)hw_pool_alloc(&pool) + 8, "middle.c:5");
	assert_int_equal(violation_count, 3);
	assert_int_equal(last_violation.mistake, HW_NOT_FROM_HERE);

	// What is written into a freed node is noticed when its turn comes; the quarantine makes that late.
	node = hw_pool_alloc_at(&pool, "allocated.c:6");
	hw_pool_free_at(&pool, node, "freed.c:7");
	hw_debug_allow(node, 32);
	hw_debug_poison(node, 32);
	node[5] = 1;
	hw_debug_forbid(node, 32);
	for (int i = 0; i < 5000 && violation_count == 3; i++)
		hw_pool_free(&pool, hw_pool_alloc_at(&pool, "reused.c:8"));
	assert_int_equal(violation_count, 4);
	assert_int_equal(last_violation.mistake, HW_WRITTEN_AFTER_FREE);
	assert_ptr_equal(last_violation.memory, node);
	assert_string_equal(last_violation.here, "reused.c:8");
	assert_string_equal(last_violation.before, "freed.c:7");
	hw_pool_deinit(&pool);
	assert_false(hw_debug_find(node, &known));
	hw_pool_deinit(&other);

	// Without debug mode a node freed twice is noticed when both go back to the slab.
	hw_debug_enable(false);
	hw_pool_init(&pool, 32, NULL);
	node = hw_pool_alloc(&pool);
	void *keeps_the_slab = hw_pool_alloc(&pool);
	assert_non_null(keeps_the_slab);
	hw_pool_free(&pool, node);
	hw_pool_free(&pool, node);
	hw_pool_trim(&pool);
	assert_int_equal(violation_count, 5);
	assert_int_equal(last_violation.mistake, HW_FREED_TWICE);
	hw_debug_set_handler(NULL);
	hw_debug_enable(was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_behaves_like_an_array),
		cmocka_unit_test(pool_takes_any_size),
		cmocka_unit_test(pool_returns_and_learns),
		cmocka_unit_test(pool_fills_the_fullest_first),
		cmocka_unit_test(pool_runs_out_of_memory),
		cmocka_unit_test(pool_catches_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
