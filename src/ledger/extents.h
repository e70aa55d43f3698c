// What several windows onto one object see together.
//
// A window is what one reference sees: the bytes [start, seen), and by reslicing those up to `cap`.
// All are offsets from the first byte of the object's contents; start <= seen <= cap.
#ifndef LEDGER_EXTENTS_H
#define LEDGER_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

struct extent {
	uint32_t start, seen, cap;
};

struct coverage {
	uint64_t viewed; // bytes in some [start, seen)
	uint64_t spare;  // bytes in some [seen, cap) and not viewed
	uint64_t end;    // the greatest cap; 0 without extents
};

// `count` extents by ascending start, of which one lies every `stride` bytes. O(n).
void extents_measure(const struct extent *first, size_t count, size_t stride, struct coverage *out);

// The same with what weigh() says of each stretch in the place of its length (`end` stays an offset).
typedef uint64_t extent_weigh(void *context, uint64_t start, uint64_t end);
void extents_weigh(const struct extent *first, size_t count, size_t stride, extent_weigh *weigh,
	void *context, struct coverage *out);

#endif
