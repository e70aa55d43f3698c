// Why is this object alive: shortest paths from roots to objects, as plain data, as text and as JSON.
//
// Like a report (report.h): clean strings, nothing that refers to the target, everything in one arena.
#ifndef OUTPUT_PATHS_H
#define OUTPUT_PATHS_H

#include "base/text.h"
#include "graph/analysis.h"
#include "heapwhy/arena.h"
#include "output/path_nodes.h"
#include "output/style.h"

struct object_path {
	uint64_t address, bytes, retained_bytes;
	const char *type;
	struct node_path path;
};

struct paths {
	struct hw_arena arena;
	const char *subject;     // what was asked for
	uint64_t object_count;   // objects that it means
	uint64_t retained_bytes; // what would go if all of them went; of a single object, its own
	struct object_path *list;
	uint32_t count;
};

// `subject` is an address ("0xc000010000", anywhere in an object) or a type as the report names it, with or without the
// directories of its package. The `most` largest objects (by what they retain) get a path. Needs the target.
// ERROR_TARGET when there is no such object.
struct error *paths_find(
	struct analysis *analysis, const char *subject, uint32_t most, struct paths **out);
void paths_destroy(struct paths *paths); // accepts NULL

struct error *paths_text(const struct paths *paths, const struct style *style, struct text *text);
struct error *paths_json(const struct paths *paths, struct text *text);

#endif
