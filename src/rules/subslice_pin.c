// subslice-pin: a slice, a string or a pointer that shows a part of an array keeps all of it.
#include <string.h>

#include "base/error.h"
#include "base/units.h"
#include "rules/objects.h"
#include "rules/waste.h"

enum { FILLING_MAX = 2, FILLED_BYTES_MIN = 64 << 10 };

static struct error *is_zero(struct rule_run *run, remote_addr from, remote_addr end, bool *out)
{
	static const uint8_t zeros[4096];
	struct heap_reader *reader;
	struct error *err = heap_reader_create(run->analysis->heap, &reader);

	if (err)
		return err;
	for (*out = true; from < end && *out;) {
		uint8_t bytes[sizeof(zeros)];
		size_t count = end - from < sizeof(bytes) ? end - from : sizeof(bytes);
		*out = heap_read(reader, from, bytes, count) && !memcmp(bytes, zeros, count);
		from += count;
	}
	heap_reader_destroy(reader);
	return NULL;
}

// A buffer made as large as it may become, and filled bit by bit: a good part is in use, and what lies behind has never
// been written. There is one, or another that waits to be written out; of what was read and kept there are many.
static struct error *group_is_filling(struct rule_run *run, const struct suspects *suspects,
	const struct suspect_group *group, bool *out)
{
	*out = group->count <= FILLING_MAX;
	for (size_t i = 0; i < group->count && *out; i++) {
		const struct windowed_object *object =
			windows_find(run->windows, suspects->list.items[group->first + i].object);
		remote_addr start = heap_address(run->analysis->heap, object->id);
		*out = object->spare > object->pinned && object->viewed >= FILLED_BYTES_MIN &&
		       !run->windows->list.items[object->first].extent.start;
		struct error *err = *out ? is_zero(run, start + object->viewed,
						   start + object->viewed + object->spare, out)
					 : NULL;
		if (err)
			return err;
	}
	return NULL;
}

static struct error *group_report(
	struct rule_run *run, const struct suspects *suspects, const struct suspect_group *group)
{
	struct waste_group waste;
	char count[24], bytes[24], seen[24];
	bool filling;
	struct error *err = group_is_filling(run, suspects, group, &filling);

	if (err || filling)
		return err;
	waste_describe(run, suspects, group, &waste);
	struct finding finding = {
		.bytes = group->bytes,
		.objects = waste.objects,
		.type = waste.name,
		.proven = true,
		.what = finding_text(run,
			"%s × %s, %s in all, kept whole for the %s that %s of them",
			format_count(count, sizeof(count), waste.objects), waste.name,
			format_bytes(bytes, sizeof(bytes), waste.bytes),
			format_bytes(seen, sizeof(seen), waste.seen),
			*waste.place ? finding_text(run, "%s shows", waste.place) : "is seen"),
		.remedy = waste.by_pointers
				  ? "allocate elements that live longer than others on their own, "
				    "or copy them: "
				    "a pointer to one element keeps the array"
				  : "keep a copy of the part (bytes.Clone, strings.Clone, append "
				    "to nil) instead of "
				    "the part itself; limiting its capacity does not help",
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = group->example->object,
		.goroutine = UINT32_MAX,
	};
	return finding_add(run, &finding);
}

struct error *rule_subslice_pin(struct rule_run *run)
{
	return waste_each(run, WASTE_PINNED, group_report);
}
