// Cancellation: a tree of tokens. Cancelling one cancels all below it, and lets go of them.
//
//	struct hw_cancel request, query;
//	hw_cancel_init(&request, NULL);
//	hw_cancel_init(&query, &request);           // below it
//	while (!hw_cancel_is_set(&query))           // one load
//		...
//	hw_cancel_set(&request, "client has gone"); // the query, too
//	hw_cancel_deinit(&query);                   // leaves its parent: nothing of it is kept
//	hw_cancel_deinit(&request);
//
// A parent that lives long keeps nothing of children that have ended, which is what a Go context's children map does to
// programs that forget to call cancel. A token made below a cancelled one is cancelled from the start. Tokens lie in
// the caller's memory and may end in any order: the children of an ended token go on without a parent, and are no
// longer cancelled from above. Nothing allocates, nothing fails.
//
// Thread-safe; a token must not end while another thread still uses it. is_set is one load; init and deinit are O(1)
// (deinit: O(children)); set is O(tokens below). One lock serves all trees and is held for so long.
#ifndef HEAPWHY_CANCEL_H
#define HEAPWHY_CANCEL_H

#include <stdbool.h>

#include "heapwhy/list.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_cancel {
	struct hw_list children;
	struct hw_link sibling; // in the parent's children, while neither is cancelled or ended
	const char *reason;     // NULL: not cancelled
};

// `parent` may be NULL.
void hw_cancel_init(struct hw_cancel *token, struct hw_cancel *parent);
void hw_cancel_deinit(struct hw_cancel *token);

// `reason` is a constant, kept and not NULL. The first one stays.
void hw_cancel_set(struct hw_cancel *token, const char *reason);

// Why it was cancelled; NULL when it was not.
static inline const char *hw_cancel_reason(const struct hw_cancel *token)
{
	return __atomic_load_n(&token->reason, __ATOMIC_ACQUIRE);
}

static inline bool hw_cancel_is_set(const struct hw_cancel *token)
{
	return hw_cancel_reason(token) != NULL;
}

#ifdef __cplusplus
}
#endif

#endif
