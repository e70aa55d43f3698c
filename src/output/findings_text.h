// The first thing that a report for people says: what is held for nothing, and what to do about it.
#ifndef OUTPUT_FINDINGS_TEXT_H
#define OUTPUT_FINDINGS_TEXT_H

#include "base/text.h"
#include "output/report.h"
#include "output/style.h"

// Appends nothing when there are no findings.
void findings_text(const struct report *report, const struct style *style, struct text *text);

// One of them.
void finding_write(
	const struct report_finding *finding, const struct style *style, struct text *text);

#endif
