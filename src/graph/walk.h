// A marking of one's own, in steps and round obstacles: what can be reached from some nodes, and
// not through others?
//
//	struct graph_walk *walk;
//	err = graph_walk_create(graph, &walk);
//	graph_walk_block(walk, sudog);              // not through here
//	graph_walk_watch(walk, channel);            // say when you meet it
//	err = graph_walk_from(walk, holder);
//	err = graph_walk_listen(walk);
//	while (graph_walk_next(walk, &object)) ...  // watched ones that were met
//	graph_walk_destroy(walk);
//
// Only what graph_connect found reachable is entered. A walk costs two bits a node, and over
// everything as much time as marking. After graph_connect; the graph must outlive it.
#ifndef GRAPH_WALK_H
#define GRAPH_WALK_H

#include "graph/graph.h"

struct graph_walk;

struct error *graph_walk_create(struct graph *graph, struct graph_walk **out);
void graph_walk_destroy(struct graph_walk *walk); // accepts NULL

// A blocked node is not entered until it is unblocked. Without effect on nodes that were met.
void graph_walk_block(struct graph_walk *walk, node_id node);
void graph_walk_unblock(struct graph_walk *walk, node_id node);

// Asks for `object` to be told by graph_walk_next(), once.
void graph_walk_watch(struct graph_walk *walk, object_id object);
bool graph_walk_next(struct graph_walk *walk, object_id *out);

// Goes on from `node`: it and everything that can be reached from it are met.
struct error *graph_walk_from(struct graph_walk *walk, node_id node);

bool graph_walk_met(const struct graph_walk *walk, node_id node);

// From here on objects that are met are counted and told; until then nothing is, which makes the first long way
// quicker. What was met before is counted and told at once.
struct error *graph_walk_listen(struct graph_walk *walk);

// Objects that were met, and their bytes. Only once it listens.
uint64_t graph_walk_count(const struct graph_walk *walk);
uint64_t graph_walk_bytes(const struct graph_walk *walk);

#endif
