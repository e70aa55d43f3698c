// Links to values elsewhere. See heapwhy/boxed_list.h.
#include "heapwhy/boxed_list.h"

static const struct hw_measure boxed_list_measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_boxed_list, count),
	HW_MEASURE_TIMES(HW_USED_BYTES, struct hw_boxed_list, count, sizeof(struct hw_box)),
	HW_MEASURE_TIMES(HW_HELD_BYTES, struct hw_boxed_list, count, sizeof(struct hw_box)),
};
static const struct hw_kind boxed_list_kind = HW_KIND("boxed list", boxed_list_measures);

void hw_boxed_list_init(
	struct hw_boxed_list *list, void (*release)(void *value), struct hw_allocator *allocator)
{
	*list = (struct hw_boxed_list){.release = release, .allocator = allocator};
	hw_list_init(&list->links);
	hw_register(&list->registration, &boxed_list_kind, allocator);
}

void hw_boxed_list_deinit(struct hw_boxed_list *list)
{
	hw_list_each_safe (&list->links, link)
		hw_boxed_list_remove(list, HW_CONTAINER_OF(link, struct hw_box, link));
	hw_unregister(&list->registration);
}

static bool box_insert(struct hw_boxed_list *list, struct hw_link *before, void *value)
{
	struct hw_box *box = hw_alloc(list->allocator, sizeof(*box), 16);

	if (!box)
		return false;
	box->value = value;
	hw_list_insert_before(before, &box->link);
	list->count++;
	return true;
}

bool hw_boxed_list_push_back(struct hw_boxed_list *list, void *value)
{
	return box_insert(list, &list->links.ends, value);
}

bool hw_boxed_list_push_front(struct hw_boxed_list *list, void *value)
{
	return box_insert(list, list->links.ends.next, value);
}

static void *box_take(struct hw_boxed_list *list, struct hw_box *box)
{
	void *value = box->value;

	hw_list_remove(&box->link);
	hw_free(list->allocator, box, sizeof(*box), 16);
	list->count--;
	return value;
}

void *hw_boxed_list_pop_front(struct hw_boxed_list *list)
{
	struct hw_link *first = hw_list_first(&list->links);

	return first ? box_take(list, HW_CONTAINER_OF(first, struct hw_box, link)) : NULL;
}

void hw_boxed_list_remove(struct hw_boxed_list *list, struct hw_box *box)
{
	void *value = box_take(list, box);

	if (list->release)
		list->release(value);
}
