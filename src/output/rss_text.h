// Where the resident memory is, for people: the ledger of a report as a table, and why it is so much more than what is
// alive.
#ifndef OUTPUT_RSS_TEXT_H
#define OUTPUT_RSS_TEXT_H

#include "base/error.h"
#include "base/text.h"
#include "output/report.h"
#include "output/style.h"

struct error *rss_text(const struct report *report, const struct style *style, struct text *text);

#endif
