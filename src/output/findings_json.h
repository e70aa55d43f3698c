// What is held for nothing, for programs: the same in reports and wherever else findings are written (docs/json.md).
#ifndef OUTPUT_FINDINGS_JSON_H
#define OUTPUT_FINDINGS_JSON_H

#include <jansson.h>

#include "output/report.h"

// NULL when out of memory, as jansson's own constructors (output/json.h).
json_t *findings_json(const struct report_finding *findings, uint32_t count);

#endif
