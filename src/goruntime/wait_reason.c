// runtime.waitReasonStrings (runtime2.go) is an array of strings in the data segment. It is
// recognised by how it has begun since go 1.12: "" for waitReasonZero, then "GC assist marking",
// then "IO wait". The numbers that follow were shuffled by nearly every release, so the target's
// own array is better than any table of ours.
#include "goruntime/goroutine_private.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

static const char FIRST[] = "GC assist marking", SECOND[] = "IO wait";

struct go_string {
	remote_addr bytes;
	uint64_t length;
};

// Reads a string that should be a wait reason: short, printable.
static bool reason_read(
	struct memory *memory, const struct go_string *string, char text[WAIT_REASON_BYTES_MAX + 1])
{
	if (!string->length || string->length > WAIT_REASON_BYTES_MAX ||
		!memory_read(memory, string->bytes, text, string->length))
		return false;
	for (uint64_t i = 0; i < string->length; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	text[string->length] = '\0';
	return true;
}

static bool reason_is(struct memory *memory, const struct go_string *string, const char *expected)
{
	char text[WAIT_REASON_BYTES_MAX + 1];

	return string->length == strlen(expected) && reason_read(memory, string, text) &&
	       !strcmp(text, expected);
}

// The number of the string headers in `words` that precede the array, or `count` when it is not
// there.
static size_t array_find(struct memory *memory, const struct go_string *strings, size_t count)
{
	for (size_t i = 0; i + 2 < count; i++) {
		if (!strings[i].length && strings[i + 1].length == strlen(FIRST) &&
			reason_is(memory, &strings[i + 1], FIRST) &&
			reason_is(memory, &strings[i + 2], SECOND))
			return i;
	}
	return count;
}

static struct error *array_copy(struct memory *memory, const struct go_string *strings,
	size_t count, struct wait_reasons *out)
{
	char text[WAIT_REASON_BYTES_MAX + 1];
	struct wait_reasons reasons = {calloc(WAIT_REASONS_MAX, sizeof(*reasons.texts)), 1};

	if (!reasons.texts || !(reasons.texts[0] = strdup("waiting"))) {
		wait_reasons_deinit(&reasons);
		return error_no_memory();
	}
	while (reasons.count < count && reasons.count < WAIT_REASONS_MAX &&
		reason_read(memory, &strings[reasons.count], text)) {
		char *copy = strdup(text);
		if (!copy) {
			wait_reasons_deinit(&reasons);
			return error_no_memory();
		}
		reasons.texts[reasons.count++] = copy;
	}
	*out = reasons;
	return NULL;
}

struct error *wait_reasons_read(struct go_runtime *runtime, struct wait_reasons *out)
{
	const struct go_module *module = &runtime->modules[0];
	uint64_t bytes = module->edata - module->data;
	const void *data;
	_cleanup_error_ struct error *unreadable = NULL;

	*out = (struct wait_reasons){NULL, 0};
	if (module->edata < module->data || bytes > UINT32_MAX)
		return NULL;
	unreadable = target_map(runtime->target, module->data, bytes, &data);
	if (unreadable)
		return NULL;
	// A string header is two words, and an array of them may begin at an odd one.
	for (unsigned odd = 0; odd < 2 && bytes >= 8; odd++, bytes -= 8) {
		const struct go_string *strings = (const void *)((const char *)data + 8 * odd);
		size_t count = bytes / sizeof(*strings);
		size_t first = array_find(&runtime->memory, strings, count);

		if (first < count)
			return array_copy(&runtime->memory, strings + first, count - first, out);
	}
	return NULL;
}

void wait_reasons_deinit(struct wait_reasons *reasons)
{
	for (unsigned i = 0; i < reasons->count; i++)
		free((char *)reasons->texts[i]);
	free(reasons->texts);
	*reasons = (struct wait_reasons){NULL, 0};
}
