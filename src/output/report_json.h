// The report for programs: schema 1 (docs/json.md). Fields may be added; none may change meaning.
#ifndef OUTPUT_REPORT_JSON_H
#define OUTPUT_REPORT_JSON_H

#include "base/error.h"
#include "base/text.h"
#include "output/report.h"

struct error *report_json(const struct report *report, struct text *text);

#endif
