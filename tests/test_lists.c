// The lists against an array.
#include "containers_test.h"

#include "heapwhy/boxed_list.h"
#include "heapwhy/pooled_list.h"

enum { VALUES = 3000 };

struct model {
	struct hw_pooled_list list;
	uint64_t *numbers
		[VALUES]; // places of the values, in order; each value's first word is its number
	uint64_t expected[VALUES];
	size_t count, value_bytes;
	uint64_t next_number;
};

static void model_insert(struct model *model, size_t at, uint64_t *place)
{
	assert_non_null(place);
	memset(place, (int)(model->next_number & 0x7f), model->value_bytes);
	*place = model->next_number;
	memmove(&model->numbers[at + 1], &model->numbers[at],
		(model->count - at) * sizeof(model->numbers[0]));
	memmove(&model->expected[at + 1], &model->expected[at],
		(model->count - at) * sizeof(model->expected[0]));
	model->numbers[at] = place;
	model->expected[at] = model->next_number++;
	model->count++;
}

static void model_erase(struct model *model, size_t at)
{
	model->count--;
	memmove(&model->numbers[at], &model->numbers[at + 1],
		(model->count - at) * sizeof(model->numbers[0]));
	memmove(&model->expected[at], &model->expected[at + 1],
		(model->count - at) * sizeof(model->expected[0]));
}

static void model_check(struct model *model, bool moved)
{
	uint64_t *value;
	size_t at = 0;

	assert_int_equal(model->list.count, model->count);
	hw_pooled_list_each (&model->list, value) {
		assert_true(at < model->count);
		assert_int_equal(*value, model->expected[at]);
		if (model->value_bytes > 8)
			assert_int_equal(((unsigned char *)value)[model->value_bytes - 1],
				model->expected[at] & 0x7f);
		if (moved)
			model->numbers[at] = value;
		assert_ptr_equal(value, model->numbers[at]);
		at++;
	}
	assert_int_equal(at, model->count);
}

static void model_pop(struct model *model, bool front)
{
	uint64_t value[50] = {0};
	bool popped = front ? hw_pooled_list_pop_front(&model->list, value)
			    : hw_pooled_list_pop_back(&model->list, value);

	assert_int_equal(popped, model->count != 0);
	if (!popped)
		return;
	size_t at = front ? 0 : model->count - 1;
	assert_int_equal(value[0], model->expected[at]);
	model_erase(model, at);
}

// Removes every `nth` value through an iterator.
static void model_walk(struct model *model, size_t nth)
{
	struct hw_pooled_list_iterator it = hw_pooled_list_iterate(&model->list);
	size_t at = 0;

	for (size_t step = 1; hw_pooled_list_next(&it); step++) {
		if (step % nth == 0) {
			assert_true(hw_pooled_list_iterator_remove(&it));
			assert_false(hw_pooled_list_iterator_remove(&it));
			model_erase(model, at);
		} else {
			at++;
		}
	}
	assert_false(it.failed);
}

static void model_step(struct model *model, uint64_t chance, bool filling)
{
	size_t removed = model->count ? (chance >> 32) % model->count : 0;

	switch (chance % (filling ? 8 : 12)) {
	case 0:
	case 1:
	case 2:
		if (model->count < VALUES)
			model_insert(model, model->count, hw_pooled_list_push_back(&model->list));
		break;
	case 3:
	case 4:
		if (model->count < VALUES)
			model_insert(model, 0, hw_pooled_list_push_front(&model->list));
		break;
	case 5:
		model_pop(model, true);
		break;
	case 6:
		model_pop(model, false);
		break;
	default:
		if (!model->count)
			break;
		assert_true(hw_pooled_list_remove(&model->list, model->numbers[removed]));
		model_erase(model, removed);
	}
}

static void pooled_list_behaves(size_t value_bytes)
{
	static struct model model;
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	uint64_t random = value_bytes;

	model = (struct model){.value_bytes = value_bytes};
	hw_pooled_list_init(&model.list, value_bytes, &failing.allocator);
	for (int step = 0; step < 30000; step++) {
		model_step(&model, next_random(&random), step / 6000 % 2 == 0);
		if (step % 1000 == 0)
			model_check(&model, false);
		if (step % 5000 == 4999)
			model_walk(&model, 3);
		if (step % 7000 == 6999) {
			hw_pooled_list_compact(&model.list);
			model_check(&model, true);
			size_t slots = (model.list.slots_end - 48) / model.list.value_bytes;
			assert_true(hw_pool_live(&model.list.pool) <= model.count / slots + 1);
		}
	}
	model_check(&model, false);
	hw_pooled_list_clear(&model.list);
	model.count = 0;
	model_check(&model, false);
	hw_pool_trim(&model.list.pool);
	assert_int_equal(failing.blocks, 0);
	hw_pooled_list_deinit(&model.list);
}

static void pooled_list_behaves_like_an_array(void **state)
{
	pooled_list_behaves(8);
	pooled_list_behaves(20);
	pooled_list_behaves(300);
}

static void pooled_list_iterators_fail_fast(void **state)
{
	struct hw_pooled_list list;
	size_t count;

	hw_pooled_list_init(&list, 8, NULL);
	assert_null(hw_pooled_list_snapshot(&list, &count));
	assert_int_equal(count, 0);
	for (uint64_t i = 0; i < 500; i++)
		*(uint64_t *)hw_pooled_list_push_back(&list) = i;
	struct hw_pooled_list_iterator it = hw_pooled_list_iterate(&list);
	assert_non_null(hw_pooled_list_next(&it));
	hw_pooled_list_pop_back(&list, NULL);
	assert_null(hw_pooled_list_next(&it));
	assert_true(it.failed);
	assert_false(hw_pooled_list_iterator_remove(&it));

	void **values = hw_pooled_list_snapshot(&list, &count);
	assert_int_equal(count, 499);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(*(uint64_t *)values[i], i);
		*(uint64_t *)hw_pooled_list_push_back(&list) = 1000 + i;
		assert_true(hw_pooled_list_remove(&list, values[i]));
	}
	free(values);
	assert_int_equal(*(uint64_t *)hw_pooled_list_first(&list), 1000);
	hw_pooled_list_deinit(&list);
}

static void pooled_list_notices_double_removal(void **state)
{
	struct hw_pooled_list list;

	hw_pooled_list_init(&list, 8, NULL);
	for (uint64_t i = 0; i < 10; i++)
		*(uint64_t *)hw_pooled_list_push_back(&list) = i;
	uint64_t *third = hw_pooled_list_first(&list);
	third += 2;
	hw_debug_set_handler(keep_violation);
	violation_count = 0;
	assert_true(hw_pooled_list_remove(&list, third));
	assert_false(hw_pooled_list_remove(&list, third));
	assert_int_equal(violation_count, 1);
	assert_int_equal(last_violation.mistake, HW_FREED_TWICE);
	assert_int_equal(list.count, 9);
	hw_debug_set_handler(NULL);
	hw_pooled_list_deinit(&list);
}

static void lists_run_out_of_memory(void **state)
{
	for (uint64_t left = 0; left < 3; left++) {
		struct failing_allocator failing = failing_allocator(left);
		struct hw_pooled_list list;
		uint64_t pushed = 0, value;
		hw_pooled_list_init(&list, 8, &failing.allocator);
		for (uint64_t *place; (place = hw_pooled_list_push_back(&list)); pushed++)
			*place = pushed;
		assert_null(hw_pooled_list_push_front(&list));
		assert_int_equal(list.count, pushed);
		for (uint64_t i = 0; i < pushed; i++) {
			assert_true(hw_pooled_list_pop_front(&list, &value));
			assert_int_equal(value, i);
		}
		hw_pooled_list_deinit(&list);
		assert_int_equal(failing.blocks, 0);

		struct hw_boxed_list boxes;
		failing.left = left;
		hw_boxed_list_init(&boxes, NULL, &failing.allocator);
		for (uint64_t i = 0; i < left; i++)
			assert_true(hw_boxed_list_push_front(&boxes, &value));
		assert_false(hw_boxed_list_push_front(&boxes, &value));
		assert_false(hw_boxed_list_push_back(&boxes, &value));
		assert_int_equal(boxes.count, left);
		hw_boxed_list_deinit(&boxes);
		assert_int_equal(failing.blocks, 0);
	}
	struct hw_pooled_list list;
	hw_pooled_list_init(&list, HW_POOLED_LIST_VALUE_MAX + 100, NULL);
	assert_null(hw_pooled_list_push_back(&list));
	hw_pooled_list_deinit(&list);
}

static int released;

static void count_released(void *value)
{
	released += *(int *)value;
}

static void boxed_list_keeps_and_releases(void **state)
{
	struct hw_boxed_list list;
	int numbers[] = {1, 10, 100, 1000};

	hw_boxed_list_init(&list, count_released, NULL);
	for (int i = 1; i < 4; i++)
		assert_true(hw_boxed_list_push_back(&list, &numbers[i]));
	assert_true(hw_boxed_list_push_front(&list, &numbers[0]));
	assert_ptr_equal(hw_boxed_list_pop_front(&list), &numbers[0]);
	released = 0;
	hw_list_each_safe (&list.links, link) {
		struct hw_box *box = HW_CONTAINER_OF(link, struct hw_box, link);
		if (box->value == &numbers[2])
			hw_boxed_list_remove(&list, box);
	}
	assert_int_equal(released, 100);
	assert_int_equal(list.count, 2);
	hw_boxed_list_deinit(&list);
	assert_int_equal(released, 1110);
}

struct member {
	int number;
	struct hw_link link;
};

static void intrusive_list_links_and_unlinks(void **state)
{
	struct member members[100];
	struct hw_list list, other;
	int expected = 0;

	hw_list_init(&list);
	hw_list_init(&other);
	assert_null(hw_list_pop_front(&list));
	for (int i = 0; i < 100; i++) {
		members[i].number = i;
		hw_list_push_back(i < 50 ? &list : &other, &members[i].link);
	}
	hw_list_append(&list, &other);
	assert_true(hw_list_is_empty(&other));
	hw_list_append(&list, &other);
	hw_list_each (&list, link)
		assert_int_equal(HW_CONTAINER_OF(link, struct member, link)->number, expected++);
	assert_int_equal(expected, 100);
	hw_list_each_safe (&list, link)
		if (HW_CONTAINER_OF(link, struct member, link)->number % 2 == 0) {
			hw_list_remove(link);
			assert_false(hw_link_is_listed(link));
		}
	hw_list_push_front(&list, &members[0].link);
	assert_ptr_equal(hw_list_pop_front(&list), &members[0].link);
	assert_ptr_equal(hw_list_first(&list), &members[1].link);
	assert_ptr_equal(hw_list_last(&list), &members[99].link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pooled_list_behaves_like_an_array),
		cmocka_unit_test(pooled_list_iterators_fail_fast),
		cmocka_unit_test(pooled_list_notices_double_removal),
		cmocka_unit_test(lists_run_out_of_memory),
		cmocka_unit_test(boxed_list_keeps_and_releases),
		cmocka_unit_test(intrusive_list_links_and_unlinks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
