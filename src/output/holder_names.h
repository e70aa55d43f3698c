// What holders are called, in reports and in paths.
#ifndef OUTPUT_HOLDER_NAMES_H
#define OUTPUT_HOLDER_NAMES_H

#include "base/text.h"
#include "graph/analysis.h"

// "main.cache", "goroutine 18 in main.worker", "1,000 goroutines in main.worker", "finalizers and cleanups"
void holder_name_append(
	struct text *text, const struct analysis *analysis, const struct holder *holder);

// "global", "goroutine", "finalizer", "other": the words of the JSON schema.
const char *holder_kind_name(enum holder_kind kind);

// How the variable or goroutine at graph node `from` refers to `to`: a local variable's name, a field of a global. Writes
// "" when unknown.
void holder_edge_name(
	const struct analysis *analysis, node_id from, object_id to, char *buffer, size_t size);

#endif
