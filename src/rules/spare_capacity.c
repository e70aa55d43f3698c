// spare-capacity: arrays far bigger than the slices that use them, and what their unused ends still hold.
//
// Reslicing to a smaller length keeps the array, and the pointers beyond the length keep what they point to
// (s = s[:0]; copy and s[:n] to delete). One look cannot know whether the room will be needed again: suspected.
#include "base/units.h"
#include "rules/waste.h"

static struct error *group_report(
	struct rule_run *run, const struct suspects *suspects, const struct suspect_group *group)
{
	struct waste_group waste;
	char count[24], bytes[24], seen[24];

	waste_describe(run, suspects, group, &waste);
	struct finding finding = {
		.bytes = group->bytes,
		.objects = waste.objects,
		.type = waste.name,
		.what = finding_text(run, "%s × %s of %s in all, of which the slices%s%s use %s",
			format_count(count, sizeof(count), waste.objects), waste.name,
			format_bytes(bytes, sizeof(bytes), waste.bytes), *waste.place ? " in " : "",
			waste.place, format_bytes(seen, sizeof(seen), waste.seen)),
		.remedy = "copy what is left into a new slice and drop the old one; set what is "
			  "deleted to nil "
			  "before shortening a slice",
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = group->example->object,
		.goroutine = UINT32_MAX,
	};
	return finding_add(run, &finding);
}

struct error *rule_spare_capacity(struct rule_run *run)
{
	return waste_each(run, WASTE_SPARE, group_report);
}
