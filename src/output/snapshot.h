// An analysed heap in a file that opens at once, anywhere: without the process, the core, the program
// or another analysis.
//
// It holds the report and, as plain tables (base/sections.h), what later questions need: every live
// object with its address, size, type, what it retains, who dominates it, a shortest path to it and
// whom it refers to. Live objects are numbered from 0 on by address; the finest holders (a word of a
// global variable, a goroutine) follow them as nodes of the graph; then the groups of holders that a
// report speaks of, as dominators only.
//
//	struct error *err = snapshot_write(analysis, fd);        // releases the target
//
//	struct snapshot *snapshot;
//	err = snapshot_open("heap.hw", &snapshot);
//	err = snapshot_report(snapshot, &report);                // as report_build() made it
//	snapshot_close(snapshot);
#ifndef OUTPUT_SNAPSHOT_H
#define OUTPUT_SNAPSHOT_H

#include "graph/analysis.h"
#include "output/path_nodes.h"
#include "output/paths.h"
#include "output/report.h"

struct sections;

// A live object.
struct snapshot_object {
	uint64_t address, bytes, retained_bytes;
	uint32_t label;     // its type: an index of `labels`
	uint32_t parent;    // the node before it on a shortest path from a root
	uint32_t edge;      // how the parent refers to it: an offset in `strings`
	uint32_t dominator; // a node, or a group; SNAPSHOT_ROOT: no single one
};
#define SNAPSHOT_ROOT UINT32_MAX

// A holder, or a group of them. Strings are offsets in `strings`.
struct snapshot_holder {
	uint32_t kind, name, type, unused;
	uint64_t address; // of a word of a global variable; 0: none
	uint64_t retained_bytes;
};

// How many entries a map has that takes more than a few pages.
struct snapshot_map {
	uint64_t entries;
	uint32_t object; // ascending
	uint32_t unused;
};

struct snapshot {
	struct sections *sections;
	const struct snapshot_object *objects;
	const struct snapshot_holder *holders, *groups;
	const uint32_t *labels;      // for each label, its name in `strings`
	const uint64_t *edge_starts; // of each object and holder, and the end, in `edges`
	const uint32_t *edges;       // objects
	const struct snapshot_map *maps;
	const char *strings; // ends with a zero
	uint64_t object_count, holder_count, group_count, label_count, edge_count, map_count,
		string_bytes;
};

struct error *snapshot_write(struct analysis *analysis, int fd);

bool snapshot_is_likely(const char *path);

// Opens the file without looking at the tables.
struct error *snapshot_open(const char *path, struct snapshot **out);
struct error *snapshot_open_fd(int fd, struct snapshot **out); // takes `fd` over
void snapshot_close(struct snapshot *snapshot);                // accepts NULL

struct error *snapshot_report(const struct snapshot *snapshot, struct report **out);

// Fills in the tables and checks that every number in them leads somewhere.
struct error *snapshot_load(struct snapshot *snapshot);

// Of a node that is no object.
const struct snapshot_holder *snapshot_holder(const struct snapshot *snapshot, uint32_t node);

// As node_path_find(), for an object, a holder or a group. Needs loaded tables.
struct error *snapshot_path(const struct snapshot *snapshot, struct hw_arena *arena, uint32_t node,
	uint32_t most, struct node_path *out);

// As paths_find(). Loads the tables.
struct error *snapshot_paths(
	struct snapshot *snapshot, const char *subject, uint32_t most, struct paths **out);

#endif
