// Strings from a target. See clean.h.
#include "output/clean.h"

#include <string.h>

#include "base/text.h"

const char *clean_string(struct hw_arena *arena, const char *untrusted)
{
	_cleanup_text_ struct text clean = TEXT_INIT;

	text_append_untrusted(&clean, untrusted, strlen(untrusted));
	return clean.failed ? NULL : hw_arena_strndup(arena, clean.bytes, clean.length);
}
