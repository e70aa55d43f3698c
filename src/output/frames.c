// See frames.h.
#include "output/frames.h"

#include <string.h>

#include "goruntime/positions.h"
#include "output/names.h"

void frame_append(struct text *text, const struct report_frame *frame)
{
	const char *slash = strrchr(frame->file, '/');

	name_append_plain(text, frame->function);
	if (*frame->file)
		text_printf(text, " %s:%d", slash ? slash + 1 : frame->file, frame->line);
}

const struct report_frame *frames_own(const struct report_frame *frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!function_is_plumbing(frames[i].function))
			return &frames[i];
	return count ? &frames[0] : NULL;
}
