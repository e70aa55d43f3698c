// Reserved address space that becomes memory from its start on. See heapwhy/stable_vector.h.
//
// Reserved is mapped without access, which no kernel's accounting counts as memory. Growing allows access to more of
// it; the kernel puts pages there as they are touched.
#include "heapwhy/stable_vector.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define DEFAULT_RANGE (UINT64_C(64) << 30)

enum { PAGE = 4096, FIRST_STEP = 64 << 10, HUGE_PAGE = 2 << 20, RANGE_MIN = 64 << 20 };

static const struct hw_measure range_measures[] = {
	HW_MEASURE(HW_USED_BYTES, struct hw_range, used_bytes),
	HW_MEASURE(HW_HELD_BYTES, struct hw_range, held_bytes),
};
static const struct hw_kind range_kind = HW_KIND("stable vector", range_measures);

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

// The bytes of address space that this process may still map; UINT64_MAX: no limit.
static uint64_t address_space_left(void)
{
	struct rlimit limit;
	unsigned long pages = 0;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	FILE *file = fopen("/proc/self/statm", "r");
	if (!file || fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	uint64_t used = (uint64_t)pages * PAGE;
	return used < limit.rlim_cur ? limit.rlim_cur - used : 0;
}

void hw_range_init(struct hw_range *range, uint64_t bytes, struct hw_budget *budget)
{
	*range = (struct hw_range){
		.reserved_bytes = bytes && bytes < DEFAULT_RANGE * 1024 ? bytes : DEFAULT_RANGE,
		.budget = budget,
	};
	hw_register(&range->registration, &range_kind, budget ? &budget->allocator : NULL);
}

void hw_range_deinit(struct hw_range *range)
{
	hw_unregister(&range->registration);
	if (range->base)
		munmap(range->base, range->reserved_bytes);
	if (range->budget)
		hw_budget_refund(range->budget, range->held_bytes);
	*range = (struct hw_range){0};
}

static char *pages_reserve(uint64_t bytes)
{
	return mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

// The range starts at a huge page's boundary; what lies before and behind is given back. Where so much is not to be had
// (valgrind keeps most addresses for itself), the half may do.
static bool range_reserve(struct hw_range *range)
{
	uint64_t left = address_space_left(), bytes = range->reserved_bytes;
	char *raw;

	if (left != UINT64_MAX && bytes > left / 4)
		bytes = left / 4;
	for (;; bytes /= 2) {
		bytes = round_up(bytes, bytes < HUGE_PAGE ? PAGE : HUGE_PAGE);
		raw = pages_reserve(bytes + HUGE_PAGE);
		if (raw != MAP_FAILED)
			break;
		if (bytes <= RANGE_MIN)
			return false;
	}
	uint64_t head = -(uintptr_t)raw & (HUGE_PAGE - 1);
	if (head)
		munmap(raw, head);
	munmap(raw + head + bytes, HUGE_PAGE - head);
	range->base = raw + head;
	range->reserved_bytes = bytes;
	madvise(range->base, bytes, MADV_HUGEPAGE);
	return true;
}

bool hw_range_grow(struct hw_range *range, uint64_t bytes)
{
	if (bytes <= range->held_bytes)
		return true;
	if (!range->base && !range_reserve(range))
		return false;
	if (bytes > range->reserved_bytes)
		return false;
	uint64_t held = range->held_bytes + range->held_bytes / 8;
	if (held < bytes)
		held = bytes;
	held = round_up(held, held < HUGE_PAGE ? FIRST_STEP : HUGE_PAGE);
	if (held > range->reserved_bytes)
		held = range->reserved_bytes;
	uint64_t more = held - range->held_bytes;
	if (range->budget && !hw_budget_charge(range->budget, more))
		return false;
	if (mprotect(range->base + range->held_bytes, more, PROT_READ | PROT_WRITE)) {
		if (range->budget)
			hw_budget_refund(range->budget, more);
		return false;
	}
	range->used_bytes = bytes;
	range->held_bytes = held;
	return true;
}

void hw_range_shrink(struct hw_range *range, uint64_t bytes)
{
	uint64_t keep = round_up(bytes, PAGE);

	if (!range->base || keep >= range->held_bytes)
		return;
	// A new mapping in place of the old one: its pages are free at once, and no longer counted.
	if (mmap(range->base + keep, range->held_bytes - keep, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return;
	madvise(range->base + keep, range->held_bytes - keep, MADV_HUGEPAGE);
	if (range->budget)
		hw_budget_refund(range->budget, range->held_bytes - keep);
	range->used_bytes = bytes;
	range->held_bytes = keep;
}

bool hw_stable_vector_grow_(struct hw_range *range, void **items, size_t *capacity, size_t count,
	size_t more, size_t size)
{
	size_t need, bytes;

	if (__builtin_add_overflow(count, more, &need) ||
		__builtin_mul_overflow(need, size, &bytes) || !hw_range_grow(range, bytes))
		return false;
	*items = range->base;
	*capacity = range->held_bytes / size;
	return true;
}

void hw_stable_vector_shrink_(struct hw_range *range, size_t *capacity, size_t count, size_t size)
{
	hw_range_shrink(range, count * size);
	*capacity = range->held_bytes / size;
}
