// Trees of tokens under one lock. See heapwhy/cancel.h.
#include "heapwhy/cancel.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void hw_cancel_init(struct hw_cancel *token, struct hw_cancel *parent)
{
	*token = (struct hw_cancel){0};
	hw_list_init(&token->children);
	if (!parent)
		return;
	pthread_mutex_lock(&lock);
	if (parent->reason)
		token->reason = parent->reason;
	else
		hw_list_push_back(&parent->children, &token->sibling);
	pthread_mutex_unlock(&lock);
}

void hw_cancel_deinit(struct hw_cancel *token)
{
	pthread_mutex_lock(&lock);
	if (hw_link_is_listed(&token->sibling))
		hw_list_remove(&token->sibling);
	while (hw_list_pop_front(&token->children))
		continue;
	pthread_mutex_unlock(&lock);
}

// Level by level: the children of a token that is done join the end of the list of those to do.
void hw_cancel_set(struct hw_cancel *token, const char *reason)
{
	struct hw_list waiting;
	struct hw_link *link;

	hw_list_init(&waiting);
	pthread_mutex_lock(&lock);
	if (hw_link_is_listed(&token->sibling))
		hw_list_remove(&token->sibling);
	if (!token->reason)
		hw_list_push_back(&waiting, &token->sibling);
	while ((link = hw_list_pop_front(&waiting))) {
		struct hw_cancel *next = HW_CONTAINER_OF(link, struct hw_cancel, sibling);
		hw_list_append(&waiting, &next->children);
		__atomic_store_n(&next->reason, reason, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
}
