// subslice-pin: a slice, a string or a pointer that shows a part of an array keeps all of it.
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
