// Reads many small pieces of a target in few large reads.
//
//	range_reader_init(&reader, target, ranges, count);    // sorts `ranges` and drops
// overlapping ones 	while (range_reader_next(&reader, &range, &bytes))
// use(range->owner, bytes, range->high - range->low); 	err = range_reader_end(&reader);
//
// Pieces that lie within a page of each other are read at once. What cannot be read is zero. The
// pieces are structures of their own, so one that overlaps an earlier one is damage and left out:
// the bytes read are bounded by what the target has.
#ifndef GORUNTIME_RANGE_READER_H
#define GORUNTIME_RANGE_READER_H

#include "target/target.h"

struct range {
	remote_addr low, high; // low <= high
	uint32_t owner;        // the caller's: whose range it is
};

struct range_reader {
	struct target *target;
	struct range *ranges;
	size_t count, next;
	uint8_t *buffer; // holds the target's bytes from `low` on, for the ranges before `filled`
	size_t capacity, filled;
	remote_addr low;
	struct error *error;
};

void range_reader_init(
	struct range_reader *reader, struct target *target, struct range *ranges, size_t count);

// The next range by address; its bytes are good until the next call. False at the end, or after an
// error.
bool range_reader_next(
	struct range_reader *reader, const struct range **range, const uint8_t **bytes);

// Frees the buffer and returns the error that ended the reading, or NULL.
struct error *range_reader_end(struct range_reader *reader);

#endif
