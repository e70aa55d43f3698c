// What the containers of a C program hold, as a table for people and as JSON. The words are the ledger's: bytes in use,
// and slack, which is held beyond them.
#ifndef OUTPUT_CONTAINERS_REPORT_H
#define OUTPUT_CONTAINERS_REPORT_H

#include "base/error.h"
#include "base/text.h"
#include "ledger/containers.h"
#include "output/style.h"

struct error *containers_text(const struct target *target, const struct containers *containers,
	const struct style *style, struct text *text);
struct error *containers_json(
	const struct target *target, const struct containers *containers, struct text *text);

#endif
