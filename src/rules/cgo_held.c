// cgo-held: most of the memory belongs to C, where Go's collector frees nothing.
//
// What C code needs of its memory cannot be told from outside, so only the proportion is: a Go program that uses a C
// library has some, and one in which C has several times what Go has is not explained by its Go heap. Suspected, and
// the bytes are all that C has.
#include "base/units.h"
#include "rules/rule.h"

enum { C_RATIO = 2 }; // times Go's spans in use

struct error *rule_cgo_held(struct rule_run *run)
{
	uint64_t held = run->ledger->bytes[ACCOUNT_C_HEAP], in_use = run->ledger->in_use_bytes;
	char bytes[24], go[24];

	if (!run->ledger->known || held / C_RATIO < in_use)
		return NULL;
	struct finding finding = {
		.bytes = held,
		.objects = 1,
		.type = "",
		.proven = false,
		.what = finding_text(run,
			"C code has taken %s, Go's objects take %s: the collector frees none of "
			"C's",
			format_bytes(bytes, sizeof(bytes), held),
			format_bytes(go, sizeof(go), in_use)),
		.remedy = "free what C.malloc, C.CString and the C library's own functions have "
			  "made, as soon as "
			  "it is needed no longer",
		.remedy_bytes = held,
		.condition = "",
		.subject = NODE_NONE,
		.goroutine = UINT32_MAX,
	};
	return finding_add(run, &finding);
}
