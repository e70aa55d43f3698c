// Counting allocators in a tree. See heapwhy/budget.h.
#include "heapwhy/budget.h"

#include <string.h>

static const struct hw_measure budget_measures[] = {
	HW_MEASURE(HW_USED_BYTES, struct hw_budget, used_bytes),
	HW_MEASURE(HW_PEAK_BYTES, struct hw_budget, peak_bytes),
	HW_MEASURE(HW_LIMIT_BYTES, struct hw_budget, hard_bytes),
	HW_MEASURE(HW_REFUSALS, struct hw_budget, refusals),
};
static const struct hw_kind budget_kind = HW_KIND("budget", budget_measures);

static uint64_t load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void level_refund(struct hw_budget *budget, size_t bytes)
{
	__atomic_fetch_sub(&budget->used_bytes, bytes, __ATOMIC_RELAXED);
}

// Compares before it adds, so that one refused giant does not make others fail meanwhile.
static bool level_charge(struct hw_budget *budget, size_t bytes)
{
	uint64_t used = load(&budget->used_bytes), hard = load(&budget->hard_bytes);

	do {
		if (bytes > hard || used > hard - bytes) {
			__atomic_fetch_add(&budget->refusals, 1, __ATOMIC_RELAXED);
			return false;
		}
	} while (!__atomic_compare_exchange_n(&budget->used_bytes, &used, used + bytes, true,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED));
	used += bytes;
	uint64_t peak = load(&budget->peak_bytes);
	while (peak < used && !__atomic_compare_exchange_n(&budget->peak_bytes, &peak, used, true,
				      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
	return true;
}

static bool tree_charge(struct hw_budget *budget, size_t bytes)
{
	for (struct hw_budget *level = budget; level; level = level->parent) {
		if (level_charge(level, bytes))
			continue;
		for (struct hw_budget *charged = budget; charged != level;
			charged = charged->parent)
			level_refund(charged, bytes);
		return false;
	}
	return true;
}

// The callbacks of the levels that this allocation brought beyond their soft limits.
static void tree_call_back(struct hw_budget *budget, size_t bytes)
{
	for (struct hw_budget *level = budget; level; level = level->parent) {
		uint64_t used = load(&level->used_bytes), soft = load(&level->soft_bytes);
		if (level->callback && used > soft && used - soft <= bytes)
			level->callback(level, level->context);
	}
}

bool hw_budget_charge(struct hw_budget *budget, size_t bytes)
{
	if (!tree_charge(budget, bytes))
		return false;
	tree_call_back(budget, bytes);
	return true;
}

void hw_budget_refund(struct hw_budget *budget, size_t bytes)
{
	for (; budget; budget = budget->parent)
		level_refund(budget, bytes);
}

static struct hw_budget *budget_of(struct hw_allocator *allocator)
{
	return (struct hw_budget *)((char *)allocator - offsetof(struct hw_budget, allocator));
}

static void *budget_alloc(struct hw_allocator *self, size_t bytes, size_t alignment)
{
	struct hw_budget *budget = budget_of(self);

	if (!tree_charge(budget, bytes))
		return NULL;
	void *memory = hw_alloc(budget->backing, bytes, alignment);
	if (!memory)
		hw_budget_refund(budget, bytes);
	else
		tree_call_back(budget, bytes);
	return memory;
}

static void budget_free(struct hw_allocator *self, void *memory, size_t bytes, size_t alignment)
{
	struct hw_budget *budget = budget_of(self);

	hw_free(budget->backing, memory, bytes, alignment);
	hw_budget_refund(budget, bytes);
}

static void *budget_resize(
	struct hw_allocator *self, void *memory, size_t old_bytes, size_t bytes, size_t alignment)
{
	struct hw_budget *budget = budget_of(self);
	size_t more = bytes > old_bytes ? bytes - old_bytes : 0;

	if (more && !tree_charge(budget, more))
		return NULL;
	void *moved = hw_resize(budget->backing, memory, old_bytes, bytes, alignment);
	if (!moved) {
		hw_budget_refund(budget, more);
		return NULL;
	}
	if (more)
		tree_call_back(budget, more);
	else
		hw_budget_refund(budget, old_bytes - bytes);
	return moved;
}

void hw_budget_init(struct hw_budget *budget, struct hw_budget *parent, uint64_t hard_bytes)
{
	*budget = (struct hw_budget){
		.allocator = {budget_alloc, budget_free, budget_resize},
		.parent = parent,
		.soft_bytes = UINT64_MAX,
		.hard_bytes = hard_bytes ? hard_bytes : UINT64_MAX,
	};
	hw_register(&budget->registration, &budget_kind, NULL);
}

void hw_budget_deinit(struct hw_budget *budget)
{
	hw_unregister(&budget->registration);
}

void hw_budget_set_soft(
	struct hw_budget *budget, uint64_t soft_bytes, hw_budget_callback *callback, void *context)
{
	budget->soft_bytes = soft_bytes ? soft_bytes : UINT64_MAX;
	budget->callback = callback;
	budget->context = context;
}

void hw_budget_set_limits(struct hw_budget *budget, uint64_t soft_bytes, uint64_t hard_bytes)
{
	uint64_t used = load(&budget->used_bytes);

	__atomic_store_n(&budget->hard_bytes, hard_bytes, __ATOMIC_RELAXED);
	uint64_t before = __atomic_exchange_n(&budget->soft_bytes, soft_bytes, __ATOMIC_RELAXED);
	if (budget->callback && used > soft_bytes && used <= before)
		budget->callback(budget, budget->context);
}

uint64_t hw_budget_used(const struct hw_budget *budget)
{
	return load(&budget->used_bytes);
}

uint64_t hw_budget_peak(const struct hw_budget *budget)
{
	return load(&budget->peak_bytes);
}
