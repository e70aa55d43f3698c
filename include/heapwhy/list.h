// An intrusive list: the links lie in the caller's own structs, so the list takes no memory and cannot fail.
//
//	struct order { int number; struct hw_link link; };
//	struct hw_list open;
//	hw_list_init(&open);
//	hw_list_push_back(&open, &order->link);
//	hw_list_each (&open, link)
//		use(HW_CONTAINER_OF(link, struct order, link));
//	hw_list_remove(&order->link);
//
// A struct may be in several lists, with a link for each. The caller owns the structs and frees none that is in a
// list. All calls are O(1). Not thread-safe. The list must stay at its address while it is not empty.
#ifndef HEAPWHY_LIST_H
#define HEAPWHY_LIST_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hw_link {
	struct hw_link *next, *previous; // both NULL: in no list
};

// A ring of links; this one is before the first and behind the last.
struct hw_list {
	struct hw_link ends;
};

#define HW_CONTAINER_OF(member_pointer, type, member) \
	((type *)((char *)(member_pointer)-offsetof(type, member)))

static inline void hw_list_init(struct hw_list *list)
{
	list->ends.next = list->ends.previous = &list->ends;
}

static inline bool hw_list_is_empty(const struct hw_list *list)
{
	return list->ends.next == &list->ends;
}

// In front of `place`, which is in a list.
static inline void hw_list_insert_before(struct hw_link *place, struct hw_link *link)
{
	link->next = place;
	link->previous = place->previous;
	place->previous->next = link;
	place->previous = link;
}

static inline void hw_list_push_front(struct hw_list *list, struct hw_link *link)
{
	hw_list_insert_before(list->ends.next, link);
}

static inline void hw_list_push_back(struct hw_list *list, struct hw_link *link)
{
	hw_list_insert_before(&list->ends, link);
}

// Takes the link out of the list that it is in. The link forgets its neighbours: what was removed keeps nothing alive
// and cannot be followed by mistake.
static inline void hw_list_remove(struct hw_link *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	link->next = link->previous = NULL;
}

static inline bool hw_link_is_listed(const struct hw_link *link)
{
	return link->next != NULL;
}

// NULL when the list is empty.
static inline struct hw_link *hw_list_first(const struct hw_list *list)
{
	return hw_list_is_empty(list) ? NULL : list->ends.next;
}

static inline struct hw_link *hw_list_last(const struct hw_list *list)
{
	return hw_list_is_empty(list) ? NULL : list->ends.previous;
}

// Takes the first one out; NULL when the list is empty.
static inline struct hw_link *hw_list_pop_front(struct hw_list *list)
{
	struct hw_link *link = hw_list_first(list);

	if (link)
		hw_list_remove(link);
	return link;
}

// Moves all of `from` behind the last one of `list`; `from` is empty afterwards.
static inline void hw_list_append(struct hw_list *list, struct hw_list *from)
{
	if (hw_list_is_empty(from))
		return;
	from->ends.next->previous = list->ends.previous;
	list->ends.previous->next = from->ends.next;
	from->ends.previous->next = &list->ends;
	list->ends.previous = from->ends.previous;
	hw_list_init(from);
}

// From the first to the last. In hw_list_each the list must not change; in hw_list_each_safe the current link may be
// removed and freed.
#define hw_list_each(list, link) \
	for (struct hw_link *link = (list)->ends.next; link != &(list)->ends; link = link->next)
#define hw_list_each_safe(list, link)                                             \
	for (struct hw_link *link = (list)->ends.next, *link##_next = link->next; \
		link != &(list)->ends; link = link##_next, link##_next = link->next)

#ifdef __cplusplus
}
#endif

#endif
