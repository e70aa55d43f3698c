#include "goruntime/range_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
	GAP_MAX = 4096,         // reading over a gap of a page is cheaper than another system call
	WINDOW_BYTES = 1 << 20, // stop adding ranges to a read here; one range may be longer
};

static int range_compare(const void *left, const void *right)
{
	const struct range *a = left, *b = right;

	return a->low < b->low ? -1 : a->low > b->low;
}

void range_reader_init(
	struct range_reader *reader, struct target *target, struct range *ranges, size_t count)
{
	memset(reader, 0, sizeof(*reader));
	reader->target = target;
	reader->ranges = ranges;
	if (count)
		qsort(ranges, count, sizeof(*ranges), range_compare);
	for (size_t i = 0; i < count; i++) {
		if (!reader->count || ranges[reader->count - 1].high <= ranges[i].low)
			ranges[reader->count++] = ranges[i];
	}
}

// Reads the next range and the neighbours that are worth reading with it.
static bool range_reader_fill(struct range_reader *reader)
{
	const struct range *ranges = reader->ranges;
	remote_addr low = ranges[reader->next].low, high = ranges[reader->next].high;
	size_t end = reader->next + 1;

	while (end < reader->count && ranges[end].low <= high + GAP_MAX &&
		ranges[end].high - low <= WINDOW_BYTES) {
		if (high < ranges[end].high)
			high = ranges[end].high;
		end++;
	}
	if (high - low > reader->capacity) {
		free(reader->buffer);
		reader->capacity = high - low > WINDOW_BYTES ? high - low : WINDOW_BYTES;
		reader->buffer = malloc(reader->capacity);
		if (!reader->buffer) {
			reader->error = error_no_memory();
			return false;
		}
	}
	target_read_sparse(reader->target, low, reader->buffer, high - low);
	reader->low = low;
	reader->filled = end;
	return true;
}

bool range_reader_next(
	struct range_reader *reader, const struct range **range, const uint8_t **bytes)
{
	if (reader->next == reader->count || reader->error)
		return false;
	if (reader->next >= reader->filled && !range_reader_fill(reader))
		return false;
	*range = &reader->ranges[reader->next++];
	*bytes = reader->buffer + ((*range)->low - reader->low);
	return true;
}

struct error *range_reader_end(struct range_reader *reader)
{
	struct error *err = reader->error;

	free(reader->buffer);
	memset(reader, 0, sizeof(*reader));
	return err;
}
