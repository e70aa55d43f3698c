// Frames of stacks in a text.
#ifndef OUTPUT_FRAMES_H
#define OUTPUT_FRAMES_H

#include "base/text.h"
#include "output/report.h"

// "main.worker worker.go:41"; without the file when that is unknown.
void frame_append(struct text *text, const struct report_frame *frame);

// Where a stack is in its program's own terms: parking, locking and the like happen below that. NULL
// for an empty one.
const struct report_frame *frames_own(const struct report_frame *frames, uint32_t count);

#endif
