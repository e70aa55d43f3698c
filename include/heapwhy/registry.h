// The register: which containers exist in this process, and how much each holds.
//
// A container registers when it is made and leaves when it is freed. It keeps its figures in its own fields, as it
// would anyway; its kind says where they lie. So registering is one store, keeping the figures up to date costs
// nothing, and whoever can read the process's memory (heapwhy, a debugger, a core file) finds everything:
//
//	hw_registry  (an ELF symbol)
//	  slots ----> [ .. | container | .. | 0 | .. ]
//	                       |
//	                       v  struct hw_registration, the container's first member
//	                       kind ----> name, measures: "held bytes are the 64-bit field at 24"
//	                       name       what the program calls it, or NULL
//	                       creator    the address that called its init function
//
// From inside:
//
//	for (struct hw_registration *r = hw_registry_next(NULL); r; r = hw_registry_next(r))
//		printf("%s %" PRIu64 "\n", r->kind->name, hw_registration_sum(r, HW_HELD_BYTES));
//
// A container must stay at its address while it is registered. Where that is not so (a copied struct), its slot still
// names the old place. A build with -DHW_NO_REGISTRY=1 (meson: -Dregistry=false) leaves the stores out; layouts stay.
//
// To make a container registrable: struct hw_registration as its first member, a table of measures, HW_KIND, and
// hw_register() in its init function. All functions are thread-safe and lock-free, O(1) (next: O(slots)).
#ifndef HEAPWHY_REGISTRY_H
#define HEAPWHY_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// What can be measured. The numbers are part of the format: never reuse one.
enum hw_what {
	HW_COUNT = 1,            // elements
	HW_USED_BYTES = 2,       // bytes in use by elements
	HW_HELD_BYTES = 3,       // bytes taken from the allocator: used + slack
	HW_LIMIT_BYTES = 4,      // a budget's hard limit, a cache's capacity
	HW_PEAK_BYTES = 5,       // the most that was ever used
	HW_HITS = 6,             // found
	HW_MISSES = 7,           // not found
	HW_EVICTIONS = 8,        // thrown out to stay within the limit
	HW_REFUSALS = 9,         // not taken in, or not given out, because of a limit
	HW_GARBAGE_BYTES = 10,   // removed, waiting for readers to leave
	HW_STALLED_READERS = 11, // readers that keep garbage waiting
};

// One 64-bit field, or the sum of several at equal distances, times another field, times a constant. All offsets are
// in bytes. A measure may have several rows: they add up.
struct hw_measure {
	uint32_t what;      // enum hw_what
	uint32_t at;        // the field, from the container's start, or from where `via` points
	uint32_t via;       // a pointer in the container; 0: the container itself
	uint32_t times_at;  // a 64-bit field of the container to multiply with; 0: none
	int32_t times;      // a constant to multiply with; may be negative
	uint32_t repeat;    // so many fields ...
	uint32_t stride;    // ... so far apart
	uint32_t repeat_at; // a 64-bit field of the container that says how many; 0: `repeat` does
};

// Rows of a table of measures: a field of `type`; a field times a constant; a field times a field times a constant.
#define HW_MEASURE(what, type, field) HW_MEASURE_TIMES(what, type, field, 1)
#define HW_MEASURE_TIMES(what, type, field, times)                              \
	{                                                                       \
		(what), (uint32_t)offsetof(type, field), 0, 0, (times), 1, 0, 0 \
	}
#define HW_MEASURE_PRODUCT(what, type, field, other, times)                                  \
	{                                                                                    \
		(what), (uint32_t)offsetof(type, field), 0, (uint32_t)offsetof(type, other), \
			(times), 1, 0, 0                                                     \
	}

struct hw_kind {
	char magic[8];    // "hw-kind"
	const char *name; // "node pool"
	const struct hw_measure *measures;
	uint64_t measure_count;
};

#define HW_KIND(name, measures)                                                         \
	{                                                                               \
		"hw-kind", (name), (measures), sizeof(measures) / sizeof((measures)[0]) \
	}

struct hw_registration {
	const struct hw_kind *kind; // NULL: not registered
	const char *name;           // see hw_registration_name()
	const void *creator;
	struct hw_allocator *allocator; // what it allocates from: a budget's, or NULL
	uint64_t slot;                  // UINT64_MAX: the register was full
};

struct hw_registry {
	char magic[8];       // "hw-reg-1"
	uint64_t slot_count; // of them some are NULL
	uint64_t registered; // containers in slots
	uint64_t missed;     // containers that found no slot, ever
	uint64_t cursor;     // where to look for a free slot next
	struct hw_registration **slots;
};

extern struct hw_registry hw_registry;

// Called by init functions (the caller's caller is noted as the creator) and deinit functions. Unregistering what is
// not registered does nothing.
#define hw_register(registration, kind, allocator) \
	hw_register_((registration), (kind), (allocator), __builtin_return_address(0))
void hw_register_(struct hw_registration *registration, const struct hw_kind *kind,
	struct hw_allocator *allocator, const void *creator);
void hw_unregister(struct hw_registration *registration);

// What reports call the container from now on. `name` is kept, not copied. Any container may be passed:
// hw_registration_name(&pool.registration, "orders").
static inline void hw_registration_name(struct hw_registration *registration, const char *name)
{
	registration->name = name;
}

// The registered container after `previous` (NULL: the first one); NULL at the end. What is registered or freed
// meanwhile may be seen or not; the caller sees to it that nothing is freed while it looks at it.
struct hw_registration *hw_registry_next(const struct hw_registration *previous);

// The sum of the rows for `what`, 0 when there is none.
uint64_t hw_registration_sum(const struct hw_registration *registration, enum hw_what what);

#ifdef __cplusplus
}
#endif

#endif
