// Inside the pipeline: from roots to holders, before and after names are known.
#ifndef GRAPH_HOLDERS_H
#define GRAPH_HOLDERS_H

#include "graph/analysis.h"

// Makes the finest holders out of the roots (one a word of a global, one a goroutine, one for each
// other kind) and connects the graph with them: fills in root_holders, and marks what is alive.
struct error *holders_connect(struct analysis *analysis);

// Puts them into groups by variable and by what goroutines are doing: fills in holders, but for
// names. Needs typing to be open.
struct error *holders_group(struct analysis *analysis);

// Names the variables, by what they hold if need be: after typing has spread.
void holders_name(struct analysis *analysis);

// True when both goroutines have the same stack, state and creator.
bool goroutines_alike(const struct goroutine_list *list, uint32_t a, uint32_t b);

#endif
