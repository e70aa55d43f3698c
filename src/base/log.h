// Remarks for the curious: what was tried, what it took, what was odd. Nobody sees them unless a
// sink is set (heapwhy --verbose does); results and errors never go here.
//
//	log_remark("graph: %" PRIu64 " edges in %.1f ms", edges, ms);
#ifndef BASE_LOG_H
#define BASE_LOG_H

// `line` has no newline at its end and lives for the call only. Calls come from any thread, one at
// a time.
typedef void (*log_sink)(void *context, const char *line);

// NULL for none. To be set before other threads start.
void log_set_sink(log_sink sink, void *context);

// At most 500 bytes; longer remarks are cut. Costs next to nothing without a sink.
void log_remark(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
