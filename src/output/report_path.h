// Inside the report: the way from a holder down to what makes it big.
#ifndef OUTPUT_REPORT_PATH_H
#define OUTPUT_REPORT_PATH_H

#include "graph/analysis.h"
#include "output/report.h"

// Fills in the path of `out`, whose name, kind, type and size are known. Looks at no more than
// `budget` objects; steps that were not counted to their end say so. Needs the target
// (typing_edge).
struct error *report_path(struct report *report, struct analysis *analysis, uint32_t holder,
	size_t budget, struct report_holder *out);

#endif
