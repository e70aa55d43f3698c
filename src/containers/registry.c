// The table of containers. See heapwhy/registry.h.
#include "heapwhy/registry.h"

#include <stdbool.h>

#ifndef HW_NO_REGISTRY
#define HW_NO_REGISTRY 0
#endif

enum { SLOTS = 1 << 14, PROBES = 16 };

static struct hw_registration *slots[SLOTS];

struct hw_registry hw_registry = {
	.magic = {'h', 'w', '-', 'r', 'e', 'g', '-', '1'},
	.slot_count = SLOTS,
	.slots = slots,
};

// Free slots are found by trying a few in turn: a table that is nearly full turns containers away instead of making
// each of a million small maps search it.
static bool slot_claim(struct hw_registration *registration)
{
	if (__atomic_load_n(&hw_registry.registered, __ATOMIC_RELAXED) >= SLOTS * 7 / 8)
		return false;
	for (int probe = 0; probe < PROBES; probe++) {
		uint64_t slot =
			__atomic_fetch_add(&hw_registry.cursor, 1, __ATOMIC_RELAXED) % SLOTS;
		struct hw_registration *none = NULL;
		registration->slot = slot;
		if (!__atomic_load_n(&slots[slot], __ATOMIC_RELAXED) &&
			__atomic_compare_exchange_n(&slots[slot], &none, registration, false,
				__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

void hw_register_(struct hw_registration *registration, const struct hw_kind *kind,
	struct hw_allocator *allocator, const void *creator)
{
	*registration = (struct hw_registration){
		.kind = kind,
		.creator = creator,
		.allocator = allocator,
	};
	if (!HW_NO_REGISTRY && slot_claim(registration)) {
		__atomic_fetch_add(&hw_registry.registered, 1, __ATOMIC_RELAXED);
		return;
	}
	registration->slot = UINT64_MAX;
	__atomic_fetch_add(&hw_registry.missed, 1, __ATOMIC_RELAXED);
}

void hw_unregister(struct hw_registration *registration)
{
	if (registration->kind && registration->slot != UINT64_MAX) {
		__atomic_store_n(&slots[registration->slot], NULL, __ATOMIC_RELAXED);
		__atomic_fetch_sub(&hw_registry.registered, 1, __ATOMIC_RELAXED);
	}
	registration->kind = NULL;
}

struct hw_registration *hw_registry_next(const struct hw_registration *previous)
{
	for (uint64_t slot = previous ? previous->slot + 1 : 0; slot < SLOTS; slot++) {
		struct hw_registration *found = __atomic_load_n(&slots[slot], __ATOMIC_ACQUIRE);
		// One that names another slot was left behind on a stack, or copied.
		if (found && found->slot == slot)
			return found;
	}
	return NULL;
}

static uint64_t load_field(const char *base, uint64_t offset)
{
	return __atomic_load_n((const uint64_t *)(base + offset), __ATOMIC_RELAXED);
}

static uint64_t measure_value(const char *container, const struct hw_measure *measure)
{
	const char *base = measure->via ? *(char *const *)(container + measure->via) : container;
	uint64_t repeat =
		measure->repeat_at ? load_field(container, measure->repeat_at) : measure->repeat;
	uint64_t sum = 0;

	if (!base)
		return 0;
	for (uint64_t i = 0; i < repeat; i++)
		sum += load_field(base, measure->at + i * measure->stride);
	if (measure->times_at)
		sum *= load_field(container, measure->times_at);
	return sum * (uint64_t)(int64_t)measure->times;
}

uint64_t hw_registration_sum(const struct hw_registration *registration, enum hw_what what)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < registration->kind->measure_count; i++)
		if (registration->kind->measures[i].what == what)
			sum += measure_value(
				(const char *)registration, &registration->kind->measures[i]);
	return sum;
}
