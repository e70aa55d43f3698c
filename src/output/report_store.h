// A report as bytes, for snapshots, and back.
#ifndef OUTPUT_REPORT_STORE_H
#define OUTPUT_REPORT_STORE_H

#include "base/text.h"
#include "output/report.h"

// Appends the report to `out`.
void report_pack(const struct report *report, struct text *out);

// ERROR_TARGET when the bytes make no sense.
struct error *report_unpack(const void *bytes, size_t size, struct report **out);

#endif
