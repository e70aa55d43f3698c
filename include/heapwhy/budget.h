// A budget: how many bytes a part of the program may hold, and how many it does.
//
// A budget is an allocator (heapwhy/allocator.h) that counts. Budgets form a tree: what a child takes is charged to
// all above it, and the tightest hard limit decides. Beyond the soft limit nothing fails, but the owner is called.
//
//	struct hw_budget service, cache;
//	hw_budget_init(&service, NULL, 512 << 20);          // hard: an allocation beyond it returns NULL
//	hw_budget_init(&cache, &service, 0);                // only its parent's limit
//	hw_budget_set_soft(&cache, 64 << 20, drop_old_entries, &entries);
//	hw_map_init_with(&entries, &cache.allocator);
//	...
//	hw_map_deinit(&entries);
//	hw_budget_deinit(&cache);
//
// Thread-safe without locks. The counts are those of blocks that containers take, not of the elements in them. A
// budget must outlive the containers that use it and the budgets below it. All calls are O(depth of the tree).
#ifndef HEAPWHY_BUDGET_H
#define HEAPWHY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_budget;

// Called by the thread whose allocation went beyond the soft limit, once for each time that the limit is crossed
// upwards, after the allocation succeeded. It may free memory of this budget, but must not free the container that
// is just allocating.
typedef void hw_budget_callback(struct hw_budget *budget, void *context);

struct hw_budget {
	struct hw_registration registration;
	struct hw_allocator allocator; // hand &budget->allocator to containers
	struct hw_allocator *backing;  // where the memory really comes from; NULL: hw_heap
	struct hw_budget *parent;
	hw_budget_callback *callback;
	void *context;
	uint64_t soft_bytes, hard_bytes; // UINT64_MAX: none. Set them with the calls below
	uint64_t used_bytes, peak_bytes; // read them with hw_budget_used() and hw_budget_peak()
	uint64_t refusals; // allocations that failed because of this budget's hard limit
};

// `hard_bytes` 0 means no limit. `parent` may be NULL. Takes no memory.
void hw_budget_init(struct hw_budget *budget, struct hw_budget *parent, uint64_t hard_bytes);
void hw_budget_deinit(struct hw_budget *budget);

// Only while nobody else uses the budget. `soft_bytes` 0 means no limit.
void hw_budget_set_soft(
	struct hw_budget *budget, uint64_t soft_bytes, hw_budget_callback *callback, void *context);

// Moves both limits; any thread may, at any time. UINT64_MAX means no limit, and 0 that nothing more may be taken. A
// soft limit that is moved below what is in use counts as crossed. What is in use stays, also beyond the hard limit.
void hw_budget_set_limits(struct hw_budget *budget, uint64_t soft_bytes, uint64_t hard_bytes);

// For memory that does not come through the allocator. False: refused, nothing is charged.
bool hw_budget_charge(struct hw_budget *budget, size_t bytes);
void hw_budget_refund(struct hw_budget *budget, size_t bytes);

uint64_t hw_budget_used(const struct hw_budget *budget);
uint64_t hw_budget_peak(const struct hw_budget *budget);

#ifdef __cplusplus
}
#endif

#endif
