// Inside the report: how its parts are made. Strings and lists go into the report's arena.
#ifndef OUTPUT_REPORT_PARTS_H
#define OUTPUT_REPORT_PARTS_H

#include "graph/analysis.h"
#include "heapwhy/vector.h"
#include "ledger/ledger.h"
#include "output/report.h"

// Holders, and the objects that no holder keeps alone; the largest get paths. Needs the target (typing_edge).
struct error *report_holders(
	struct report *report, struct analysis *analysis, const struct report_options *options);

struct error *report_goroutines(struct report *report, struct analysis *analysis);

// What the rules find. Needs the target.
struct error *report_findings(
	struct report *report, struct analysis *analysis, const struct ledger *ledger);

// The stack and the creator of a goroutine. False: out of memory.
bool report_stack(struct report *report, const struct analysis *analysis,
	const struct goroutine *goroutine, struct report_stack *out);

// Summing up what the objects of each type retain, in a thread of its own where there may be one. NULL: out of memory. To be finished by
// report_types() or destroyed before the analysis is closed.
struct type_counting *type_counting_start(struct analysis *analysis);
void type_counting_destroy(struct type_counting *counting); // accepts NULL

struct error *report_types(
	struct report *report, const struct analysis *analysis, struct type_counting *counting);

// Where a path starts: the node of a holder, or objects of one type.
struct path_start {
	HW_VECTOR(node_id) nodes;
	uint32_t label; // of the objects; UINT32_MAX for a holder
};

// Fills in the path of `out`, whose name, kind, type and size are known. Looks at no more than `budget` objects; steps
// that were not counted to their end say so. Needs the target (typing_edge).
struct error *report_path(struct report *report, struct analysis *analysis,
	const struct path_start *start, size_t budget, struct report_holder *out);

// Tells who holds what no single holder keeps: fills in held_by of each of the `count` holders that stands for shared
// objects, by whatever refers to objects[i], one of them (OBJECT_NONE: not asked).
struct error *report_held_by(struct report *report, struct analysis *analysis,
	const object_id *objects, struct report_holder *holders, uint32_t count);

#endif
