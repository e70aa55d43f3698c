// The report for people: a first screen to act on.
#ifndef OUTPUT_REPORT_TEXT_H
#define OUTPUT_REPORT_TEXT_H

#include "base/error.h"
#include "base/text.h"
#include "output/report.h"
#include "output/style.h"

struct error *report_text(
	const struct report *report, const struct style *style, struct text *text);

#endif
